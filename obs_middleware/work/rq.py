"""
Write one line for each attempt to do a job of RQ.

Work. The id goes along in ``job.meta``. The process that does the job, a fork for each in RQ's default worker, writes
the line. If that process is killed, the worker writes it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from obs_middleware.failures import report_once
from obs_middleware.when_imported import call_when_imported
from obs_middleware.work import tasks
from obs_middleware.work.patching import Patches
from obs_middleware.work.unit import WorkEvent

__all__ = ["prepare"]

_RETRIES: Final = "retries"
"""The key of the number of retries that the job began with, beside the keys of `tasks.sent`."""

_patches: Final = Patches()
_ended: list[str] = []
"""The id of the job whose line this process has written last."""


def prepare() -> None:
    """Follow the jobs, once the site imports RQ."""
    call_when_imported("rq.worker", _connect)


def _connect() -> None:
    from rq.job import Job  # noqa: PLC0415 -- only if the site uses it
    from rq.queue import Queue  # noqa: PLC0415 -- as above
    from rq.worker import BaseWorker  # noqa: PLC0415 -- as above

    _patches.replace(Queue, "create_job", _create_job)
    _patches.replace(Job, "perform", _perform)
    _patches.replace(BaseWorker, "perform_job", _perform_job)
    _patches.replace(BaseWorker, "handle_job_failure", _handle_job_failure)


def _create_job(original: Callable[..., Any]) -> Callable[..., Any]:
    def create_job(self: Any, *args: Any, **kwargs: Any) -> Any:
        job = original(self, *args, **kwargs)
        try:
            # A copy: the site may give the dict, or that of another job, to many jobs.
            job.meta = {**job.meta, tasks.CARRIER: {**tasks.sent(), _RETRIES: job.retries_left}}
        except BaseException as error:  # noqa: BLE001 -- the job is enqueued, whatever failed
            report_once("rq.Queue.create_job", error)
        return job

    return create_job


def _perform(original: Callable[..., Any]) -> Callable[..., Any]:
    def perform(self: Any) -> Any:
        event = _begin(self)
        if event is None:
            return original(self)
        try:
            result = original(self)
        except BaseException as error:
            _end(self, event, error)
            raise
        _end(self, event, result=result)
        return result

    return perform


def _perform_job(original: Callable[..., Any]) -> Callable[..., Any]:
    def perform_job(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, *args, **kwargs)
        finally:
            # The fork ends without the exit handlers of Python, which would write the last lines.
            for handler in logging.getLogger().handlers:
                handler.flush()

    return perform_job


def _handle_job_failure(original: Callable[..., Any]) -> Callable[..., Any]:
    def handle_job_failure(self: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            if _ended != [job.id] and not self.is_horse:
                _end_for_the_dead(job, "revoked" if self._stopped_job_id == job.id else "killed")
        except BaseException as error:  # noqa: BLE001 -- the worker goes on, whatever failed
            report_once("rq.BaseWorker.handle_job_failure", error)
        return original(self, job, *args, **kwargs)

    return handle_job_failure


def _begin(job: Any) -> WorkEvent | None:
    try:
        carried = job.meta.get(tasks.CARRIER)
        enqueued = job.enqueued_at
        return tasks.begin(
            _name(job),
            job.id,
            carried=carried,
            queue=job.origin,
            attempt=_attempt(job, carried),
            queue_seconds=None if enqueued is None else max(0.0, round(_seconds_since(enqueued), 6)),
        )
    except BaseException as error:  # noqa: BLE001 -- the job runs, whatever failed
        report_once("rq.Job.perform", error)
        return None


def _end(job: Any, event: WorkEvent, error: BaseException | None = None, result: Any = None) -> None:
    try:
        outcome = "ok"
        if error is not None:
            outcome = "timeout" if type(error).__name__ == "JobTimeoutException" else tasks.outcome_of(error)
            if outcome == "error" and job.should_retry:
                outcome = "retry"
        elif type(result).__name__ == "Retry" and type(result).__module__.startswith("rq."):
            outcome = "retry"
        tasks.end(event, outcome, error)
        _ended[:] = [job.id]
    except BaseException as failure:  # noqa: BLE001 -- as above
        report_once("rq.Job.perform", failure)


def _end_for_the_dead(job: Any, outcome: str) -> None:
    event = _begin(job)
    if event is not None:
        started = job.started_at
        tasks.end(event, outcome, seconds=0.0 if started is None else max(0.0, _seconds_since(started)))


def _name(job: Any) -> str:
    try:
        return str(job.func_name)
    except Exception:  # noqa: BLE001 -- a job that cannot be read, which perform() is about to say
        return "unknown"


def _attempt(job: Any, carried: Any) -> int | None:
    retries = carried.get(_RETRIES) if isinstance(carried, dict) else None
    return 1 if retries is None else retries - (job.retries_left or 0) + 1


def _seconds_since(moment: datetime) -> float:
    return (datetime.now(UTC) - (moment if moment.tzinfo else moment.replace(tzinfo=UTC))).total_seconds()
