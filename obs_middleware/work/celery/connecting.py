"""
Connect the signals of Celery. A site configures nothing.

Work. Called when the site has imported Celery.
"""

from __future__ import annotations

from celery import signals

from obs_middleware.work.celery import attempts, messages, parent, records

__all__ = ["connect"]


def connect() -> None:
    """Measure the tasks of this process from now on, and let Celery leave ``LOGGING`` alone."""
    for signal, receiver in (
        (signals.before_task_publish, messages.add_carrier),
        (signals.task_prerun, attempts.begin),
        (signals.task_postrun, attempts.end),
        (signals.task_received, parent.expect),
        (signals.task_failure, parent.end_failed),
        (signals.task_retry, parent.end_retried),
        (signals.task_revoked, parent.end_revoked),
        (signals.task_unknown, parent.end_unknown),
        (signals.worker_shutting_down, parent.prepare_end),
    ):
        signal.connect(receiver, weak=False, dispatch_uid=f"obs_middleware.{receiver.__name__}")
    records.prepare()
