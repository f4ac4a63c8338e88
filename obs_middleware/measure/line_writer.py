"""
Decide about the line of a unit of work that is over, and write it.

Measure. The middleware and `obs_middleware.asgi.observed` end every request here, and `obs_middleware.work` all else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from obs_middleware import counters
from obs_middleware.conf import Settings, django_setting
from obs_middleware.counters import COUNTS, KINDS
from obs_middleware.failures import report_once
from obs_middleware.measure.event import Event, Records, current_event
from obs_middleware.measure.facts import FactReader
from obs_middleware.measure.policy import Policy, default_level, level_named
from obs_middleware.measure.running import RUNNING
from obs_middleware.measure.sentry import follow_sentry

__all__ = ["ORIGINAL_ERROR", "ORIGINAL_INFO", "ROOT_LOGGER", "LineWriter", "log", "log_failure"]


class LineWriter:
    """
    Decide about the line of a request or another unit of work that is over, and write it.

    Args:
        settings: The settings in force.
        log: Writes the text of the line to the root logger at level INFO.
        log_failure: Writes the text of a failure to the root logger at level ERROR, with the exception or None.
    """

    def __init__(
        self,
        settings: Settings,
        log: Callable[[str | None], None],
        log_failure: Callable[[str | None, BaseException | None], None],
    ) -> None:
        self._log = log
        self._log_failure = log_failure
        self._policy = Policy(
            exclude=settings.exclude,
            quiet=settings.quiet,
            quiet_seconds=settings.quiet_seconds,
            sample_rate=settings.sample_rate,
            slow_seconds=settings.slow_seconds,
            sample_secret=settings.sample_secret or str(django_setting("SECRET_KEY", "")),
        )
        self._keeps_all = self._policy.keeps_all
        self._level = level_named(settings.level)
        self._logger = settings.logger
        self._is_plain = self._level is None and self._logger is None
        follow_sentry()

    @property
    def logger(self) -> logging.Logger:
        """The logger of the lines."""
        return logging.getLogger(self._logger)

    def conclude(  # noqa: C901 -- ends each request, so it makes few calls
        self,
        event: Event,
        seconds: float,
        reader: FactReader | None = None,
        request: Any = None,
        response: Any = None,
    ) -> None:
        """
        End *event*, whose work took *seconds*: write its line, or count why not.

        The first call counts; a later one for the same event does nothing. Never raises.

        Args:
            event: The event; its status and outcome are known.
            seconds: How long the work took.
            reader: Reads the remaining facts, if the line is written. None when they have been read already.
            request: The request, for *reader*.
            response: The response, for *reader*.
        """
        if event.done:
            return
        event.done = True
        event.duration_seconds = seconds
        fate = "written"
        try:
            del RUNNING[event]
        except KeyError:
            pass  # its begin has failed, or a fork has cleared the dict
        try:
            if event.rule is not None or not self._keeps_all:
                fate = self._decide(event)
                if fate != "written":
                    return
            if reader is not None:
                try:
                    reader.read(event, request, response)
                except BaseException as error:  # noqa: BLE001 -- a line without some facts is better than none
                    report_once("TimingMiddleware.finish", error)
            event.message = f"{event.title} took {seconds:.4f} seconds"
            if self._is_plain and event.outcome == "ok" and event.records is None and current_event.get() is event:
                self._log(event.message)
            else:
                self._write(event)
        except BaseException as error:  # noqa: BLE001 -- a filter may raise, also what is no Exception (structlog.DropEvent)
            fate = "failed"
            report_once("writing the request line", error)
        finally:
            if event.records is not None:
                _release(event.records, event, left_out=event.is_left_out)
            event.error = event.refusal = None
            with counters.LOCK:
                COUNTS[fate] += 1
                if event.kind is not None:
                    KINDS[event.kind] += 1

    def abandon(self, event: Event) -> None:
        """End *event* without a line, and write the records that waited for it. Nothing is counted."""
        event.done = True
        if event.records is not None:
            _release(event.records, event, left_out=False)

    def _decide(self, event: Event) -> str:
        try:
            return self._policy.decide(event)
        except BaseException as error:  # noqa: BLE001 -- a line too many is better than one that is lost
            report_once("Policy.decide", error)
            return "written"

    def _write(self, event: Event) -> None:
        """Emit the line in the context of *event*, whatever context this is, and back again in the same frame."""
        outside = current_event.get()
        current_event.set(event)
        try:
            level = self._level_of(event)
            error = None
            if level >= logging.ERROR:
                error = event.refusal if event.error is None else event.error
            if isinstance(error, str):
                error = None  # the text of a security record
            if self._is_plain and level == logging.INFO:
                self._log(event.message)
            elif self._is_plain and level == logging.ERROR:
                self._log_failure(event.message, error)
            else:
                logging.getLogger(self._logger).log(level, event.message, exc_info=error)
        finally:
            current_event.set(outside)

    def _level_of(self, event: Event) -> int:
        default = logging.INFO
        try:
            default = default_level(event)
            if self._level is None:
                return default
            level = self._level(event.status, event.duration_seconds, event.outcome)
            return logging.getLevelNamesMapping()[level.upper()] if isinstance(level, str) else int(level)
        except BaseException as error:  # noqa: BLE001 -- it is the user's, and may raise anything
            report_once('OBS_MIDDLEWARE["LEVEL"]', error)
            return default


def _release(records: Records, event: Event, *, left_out: bool) -> None:
    """Write the records that waited for the line of *event* and that it does not tell, in the context of *event*."""
    outside = current_event.get()
    current_event.set(event)
    for held in records.held:
        try:
            held.release(left_out=left_out)
        except BaseException as error:  # noqa: BLE001 -- a handler of the site may raise anything
            report_once("FoldDjangoRequests", error)
    current_event.set(outside)
    records.held.clear()  # they hold the request


ROOT_LOGGER: Final = logging.getLogger()
ORIGINAL_INFO: Final = logging.info
ORIGINAL_ERROR: Final = logging.error
"""A test may have patched ``logging.info`` or ``logging.error``, and then wants its own called."""


def log(text: str | None) -> None:
    """
    Log the request line, and do nothing else.

    The logging module looks up the line of code that called it. Python counts lines from the start of the function,
    which takes half a microsecond at the end of a long one. So this one is short.
    """
    # Without a handler, logging.info() would install one, and other loggers would suddenly be heard.
    if ROOT_LOGGER.handlers or logging.info is not ORIGINAL_INFO:
        logging.info(text)  # noqa: LOG015 -- the contract: root logger, one argument


def log_failure(text: str | None, error: BaseException | None) -> None:
    """Log the request line of a failure, with its exception if there is one."""
    if not ROOT_LOGGER.handlers and logging.error is ORIGINAL_ERROR:
        return  # as above
    if error is None:
        logging.error(text)  # noqa: LOG015 -- as above
    else:
        logging.error(text, exc_info=error)  # noqa: LOG015 -- as above; *error* may not be the current exception
