"""A background task of Django 6.0 or newer."""

from __future__ import annotations

import logging

from django.tasks import task

from obs_middleware import bind


@task
def remember(number: int) -> None:
    bind(number=number)
    logging.getLogger("site").info("in task")
