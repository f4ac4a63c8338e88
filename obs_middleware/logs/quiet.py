"""
Leave request lines out of the output of a test run.

Write. `obs_middleware.logs.filters` is the path to import the filter from.
"""

from __future__ import annotations

import logging
import sys

from obs_middleware.conf import django_setting
from obs_middleware.failures import report_once
from obs_middleware.logs.filtering import handler_of, is_about_a_response
from obs_middleware.measure.event import current_event

__all__ = ["QuietInTests"]


class QuietInTests(logging.Filter):
    """
    Drop request lines while tests run, so that the output has only the dots.

    Django's own records of a response ("Not Found", "Internal Server Error", ...) are dropped with them, but not if
    ``DEBUG`` is True (``manage.py test --debug-mode``), as with Django's default ``LOGGING``. All other lines pass.

    Put it on a handler, before `FoldDjangoRequests`. Other handlers, such as those of `capture_requests` and pytest,
    still get the lines. Tests run between ``setup_test_environment()`` and ``teardown_test_environment()``, which
    ``manage.py test`` and pytest-django call. If no test runs at the first request line, the handler loses the filter.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a record about a request in a test."""
        try:
            event = current_event.get()
            is_line = event is not None and event.is_line(record.msg)
            if not is_line and not is_about_a_response(record):
                return True
            if _is_test_run():
                return not is_line and bool(django_setting("DEBUG", default=False))
            handler = handler_of(self)
            if handler is not None:
                handler.filters = [one for one in handler.filters if one is not self]
        except BaseException as failure:  # noqa: BLE001 -- an exception here would reach the application
            report_once("QuietInTests", failure)
        return True


def _is_test_run() -> bool:
    """Return whether Django's test environment is set up in this process."""
    utils = sys.modules.get("django.test.utils")
    return hasattr(getattr(utils, "_TestState", None), "saved_data")
