"""
`ChainFormatter`: the base of the formatters, a chain of structlog processors that turns a record into one line.

Write. `obs_middleware.logs.formatters` is the path to import it from.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from django.utils.module_loading import import_string

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.display.escape import takes_unicode, to_ascii
from obs_middleware.failures import report_once
from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.line.exceptions import error_fields
from obs_middleware.logs.line.fit import Fit, default_max_bytes
from obs_middleware.logs.line.limits import MAX_BYTES, MAX_TRACE_BYTES, MAX_TRACE_BYTES_PIPE
from obs_middleware.logs.line.nested import Formatting
from obs_middleware.logs.line.record import LEVELS, RECORD_SIZE, event_id_of, extra_of, unformatted
from obs_middleware.logs.line.timestamps import Timestamps
from obs_middleware.logs.line.values import unused_key
from obs_middleware.logs.options import OutputName
from obs_middleware.logs.processors import (
    EventDict,
    add_exception,
    add_own_context,
    add_request_context,
    is_equal,
    merge_bound_contextvars,
    name_for,
    record_fields,
)
from obs_middleware.logs.sinks.standard import stream_named
from obs_middleware.measure.event import current_event
from obs_middleware.measure.vocabulary import FIELDS
from obs_middleware.redaction import Secrets

__all__ = ["ChainFormatter", "Processor"]

Processor = Callable[[Any, str, EventDict], Any]

_STACK: Final = "Stack (most recent call last)"
"""The first words of a stack that structlog has formatted."""


class ChainFormatter(logging.Formatter):
    """
    The base class of the formatters: the chain without its renderer.

    Args:
        processors: Your own structlog processors, as callables or dotted paths. Each is called once per line, after
            the context was added. If one raises, the line loses the application's fields; the request is not affected.
        service: Name of the service, on every line.
        version: Its version, on every line.
        environment: The deployment, for example ``production``, on every line.
        stream: The output: ``stdout``, ``stderr``, ``auto`` for stderr in a management command and stdout elsewhere, or
            None for a file. If its encoding is not UTF-8, everything but ASCII is escaped.
        max_bytes: The limit of a line in bytes, with its line feed. A longer line is shortened and gets ``truncated``.
            None means 16,000, or 4,096 if *stream* is a pipe, which may mix longer lines with those of other processes.

    Raises:
        ValueError: *max_bytes* is below 2,048.
    """

    def __init__(  # noqa: PLR0913 -- keyword-only, each with a default
        self,
        *,
        processors: Iterable[Processor | str] = (),
        service: str | None = None,
        version: str | None = None,
        environment: str | None = None,
        stream: OutputName | None = None,
        max_bytes: int | None = None,
    ) -> None:
        super().__init__()
        constants = {"service": service, "version": version, "environment": environment}
        self._constants = {name: value for name, value in constants.items() if value is not None}
        self._timestamps = Timestamps()
        self._end = self.end()
        name = None if stream is None else stream_named(stream)
        self._in_ascii = name is not None and not takes_unicode(name)
        if max_bytes is None:
            max_bytes = default_max_bytes(name)
        self._most_bytes = max_bytes - 1  # for the line feed
        self._trace_bytes = MAX_TRACE_BYTES if max_bytes >= MAX_BYTES else MAX_TRACE_BYTES_PIPE
        self._fit: Callable[[dict[str, Any], Any], str] = Fit(self._render, max_bytes)
        self._processors: tuple[Processor, ...] = tuple(
            import_string(processor) if isinstance(processor, str) else processor for processor in processors
        )
        self._chain: tuple[Processor, ...] = (
            add_request_context,
            merge_bound_contextvars,
            *self._processors,
            add_exception,
        )
        self._inner_chain: tuple[Processor, ...] = (add_own_context, add_exception)
        # Lenient: logging is configured before the system checks can report bad settings.
        keep_configured(self, lenient=True)

    def configure(self, settings: Settings) -> None:
        """Take the names of secrets from the settings."""
        self._cleaner = Cleaner(Secrets(settings.redact), trace_bytes=self._trace_bytes)

    def end(self) -> tuple[Processor, ...]:
        """Return the last processors, which get clean values; the very last one returns the line."""
        raise NotImplementedError  # abstract

    def format(self, record: logging.LogRecord) -> str:
        """
        Return the line for *record*, without a line feed at its end; never raises.

        If a processor raises, the failure is reported once. The line then has only the fields of this package, those of
        an exception, and ``format_error``. A record that is logged while another one is being formatted has no bound
        values, and your processors are not called for it.
        """
        try:
            with Formatting() as depth:
                return self._line(self._fields(record, depth))
        except BaseException as error:  # noqa: BLE001 -- structlog.DropEvent is a BaseException
            report_once(f"{type(self).__qualname__}.format", error)
            with Formatting():
                return self._fit(*self._cleaner.clean_fields(self._core(record, error)))

    def _line(self, event_dict: Any) -> str:
        """Return the line of an event, whose values may be anything."""
        return self._fit(*self._cleaner.clean_fields(event_dict))

    def _fields(self, record: logging.LogRecord, depth: int) -> Any:
        """Return the fields of *record*, which was logged while *depth* others are being formatted."""
        if depth > 1:  # the handler has no filter of this package, which would have dropped it
            event_dict: Any = self._head(record, record.msg if type(record.msg) is str else "")
            return add_own_context(None, "", event_dict)
        event_dict = self._event_dict(record)
        for processor in self._inner_chain if depth else self._chain:
            event_dict = processor(record, record.levelname, event_dict)
        return event_dict

    def _render(self, event: dict[str, Any]) -> str:
        result: Any = event
        for processor in self._end:
            result = processor(None, "", result)
        text = result if type(result) is str else str(result)
        return to_ascii(text) if self._in_ascii else text

    def _core(self, record: logging.LogRecord, error: BaseException) -> EventDict:
        """Return the fields of this package and the exception, without anything that the application added."""
        event_dict = self._head(record, unformatted(record))
        exc_info: Any = record.exc_info or record.exc_text
        event = current_event.get()
        if event is not None:
            if not event.is_line(record.msg):
                event_dict.update(event.context)
            else:
                event_dict.update((name, value) for name, value in event.line().items() if name in FIELDS)
                event_dict.update(error_fields(event))
                if event.error is not None:
                    exc_info = event.error
        if record.stack_info:
            event_dict["stack_info"] = record.stack_info
        event_dict["exc_info"] = exc_info
        add_exception(None, "", event_dict)
        event_dict["format_error"] = type(error).__qualname__
        return event_dict

    def _event_dict(self, record: logging.LogRecord) -> EventDict:
        own: dict[str, Any] = {}
        # issubclass, not isinstance: isinstance evaluates a lazy object
        message: Any = record.msg
        if issubclass(type(message), Mapping):
            # From a structlog logger whose chain ends in ProcessorFormatter.wrap_for_formatter, or a dict message.
            own.update(message)
            event_dict = self._head(record, own.pop("event", ""))
            stack = own.get("stack")
            if type(stack) is str and stack.startswith(_STACK):  # set by structlog for stack_info=True
                event_dict["stack_info"] = own.pop("stack")
        else:
            event_dict = self._head(record, record.getMessage())
        if len(record.__dict__) > RECORD_SIZE:
            own.update(extra_of(record))
        if record.exc_info:
            event_dict["exc_info"] = record.exc_info
        elif record.exc_text:  # formatted in another process
            event_dict["exc_info"] = record.exc_text
        if record.stack_info:
            event_dict["stack_info"] = record.stack_info
        for name, value in _without_copies(own, record):
            if name == "exc_info" or (name == "stack_info" and type(value) is str):
                event_dict[name] = value
            elif name not in event_dict or not is_equal(value, event_dict[name]):
                given = name_for(name, value)
                event_dict[given if given is name else unused_key(given, own)] = value
        return event_dict

    def _head(self, record: logging.LogRecord, message: Any) -> EventDict:
        level = record.levelno
        return {
            "timestamp": self._timestamps.text(record.created),
            "level": LEVELS[level] if level in LEVELS else record.levelname.lower(),
            "logger": record.name,
            "event": message,
            "event_id": event_id_of(record),
            **self._constants,
        }


def _without_copies(own: Mapping[str, Any], record: logging.LogRecord) -> Iterable[tuple[str, Any]]:
    """Return *own* without the copies of our fields that `RequestContextFilter` adds for other formatters."""
    event = current_event.get()
    if event is None or "request_id" not in own:
        return own.items()
    fields = record_fields(event, record.msg)
    return [(name, value) for name, value in own.items() if name not in fields or not is_equal(value, fields[name])]
