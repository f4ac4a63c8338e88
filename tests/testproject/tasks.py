"""A background task, as Django has them since 6.0."""

from __future__ import annotations

import logging

from django.tasks import task

from obs_middleware import bind


@task
def remember(number: int) -> None:
    bind(number=number)
    logging.getLogger("site").info("in task")
