"""
Formatters: turn a log record, from the standard library or from structlog, into one line.

Write. All four run the same chain of structlog processors and differ only in the renderer at its end.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import structlog
from django.utils.module_loading import import_string

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.failures import raise_interrupt, report_once
from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.line.encode import dumps
from obs_middleware.logs.line.escape import takes_unicode, to_ascii
from obs_middleware.logs.line.exceptions import error_fields
from obs_middleware.logs.line.fit import Fit, default_max_bytes
from obs_middleware.logs.line.limits import MAX_BYTES, MAX_TRACE_BYTES, MAX_TRACE_BYTES_PIPE, SHORT_TEXT
from obs_middleware.logs.line.record import LEVELS, RECORD_SIZE, event_id_of, extra_of, unformatted
from obs_middleware.logs.line.render import make_printable, render_logfmt, render_text, wrap
from obs_middleware.logs.line.shortcut import Shortcut
from obs_middleware.logs.line.timestamps import Timestamps
from obs_middleware.logs.line.values import unused_key
from obs_middleware.logs.options import SchemaName, StreamName
from obs_middleware.logs.processors import (
    EventDict,
    add_exception,
    add_request_context,
    is_equal,
    merge_bound_contextvars,
    record_fields,
)
from obs_middleware.logs.schemas import Translation, schema_named
from obs_middleware.logs.sinks.stream import is_terminal
from obs_middleware.measure.event import current_event
from obs_middleware.measure.vocabulary import FIELDS, own_name
from obs_middleware.redaction import Secrets

__all__ = ["ChainFormatter", "ConsoleFormatter", "JSONFormatter", "LogfmtFormatter", "TextFormatter"]

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
        stream: The output, ``stdout`` or ``stderr``; None for a file. If its encoding is not UTF-8, everything but
            ASCII is escaped.
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
        stream: StreamName | None = None,
        max_bytes: int | None = None,
    ) -> None:
        super().__init__()
        constants = {"service": service, "version": version, "environment": environment}
        self._constants = {name: value for name, value in constants.items() if value is not None}
        self._timestamps = Timestamps()
        self._end = self.end()
        self._in_ascii = stream is not None and not takes_unicode(stream)
        if max_bytes is None:
            max_bytes = default_max_bytes(stream)
        self._most_bytes = max_bytes - 1  # for the line feed
        self._trace_bytes = MAX_TRACE_BYTES if max_bytes >= MAX_BYTES else MAX_TRACE_BYTES_PIPE
        self._fit: Callable[[dict[str, Any], Any], str] = Fit(self._render, max_bytes)
        self._chain: tuple[Processor, ...] = (
            add_request_context,
            merge_bound_contextvars,
            *(import_string(processor) if isinstance(processor, str) else processor for processor in processors),
            add_exception,
        )
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
        an exception, and ``format_error``.
        """
        try:
            event_dict: Any = self._event_dict(record)
            for processor in self._chain:
                event_dict = processor(record, record.levelname, event_dict)
            return self._fit(*self._cleaner.clean_fields(event_dict))
        except BaseException as error:  # noqa: BLE001 -- structlog.DropEvent is a BaseException
            report_once(f"{type(self).__qualname__}.format", error)
            return self._fit(*self._cleaner.clean_fields(self._core(record, error)))

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
            event_dict.update(event.context)
            if event.is_line(record.msg):
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
                given = own_name(name)
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


class JSONFormatter(ChainFormatter):
    """
    Write a record as one line of strict JSON.

    The record passes through a chain of structlog processors: the request's context (`add_request_context`), the values
    of structlog's ``bind_contextvars``, your *processors*, the fields of an exception, the translation into the
    *schema*, and `structlog.processors.JSONRenderer`. Inside the chain the text is ``event``, as in structlog; on the
    line it is ``message``. ``extra={...}`` of a standard-library call and keyword arguments of a structlog call
    become fields. A field that has the name of a field of the package is renamed ``app_<name>``.

    Args:
        schema: The names of the fields: ``flat``, ``ecs``, ``otel``, ``datadog`` or ``gcp``.
        processors: Your own structlog processors, as callables or dotted paths.
        service: Name of the service, on every line.
        version: Its version, on every line.
        environment: The deployment, for example ``production``, on every line.
        stream: The output, ``stdout`` or ``stderr``; None for a file.
        max_bytes: The limit of a line in bytes; None for 16,000, or 4,096 if *stream* is a pipe.

    Raises:
        ValueError: *schema* does not exist, or *max_bytes* is below 2,048.
    """

    def __init__(  # noqa: PLR0913 -- keyword-only, each with a default
        self,
        *,
        schema: SchemaName = "flat",
        processors: Iterable[Processor | str] = (),
        service: str | None = None,
        version: str | None = None,
        environment: str | None = None,
        stream: StreamName | None = None,
        max_bytes: int | None = None,
    ) -> None:
        processors = tuple(processors)
        table = schema_named(schema)
        self._translate = None if table is None else Translation(table)
        super().__init__(
            processors=processors,
            service=service,
            version=version,
            environment=environment,
            stream=stream,
            max_bytes=max_bytes,
        )
        is_plain = all(type(text) is str and len(text) <= SHORT_TEXT for text in self._constants.values())
        self._shortcut = (
            Shortcut(self._constants, self._translate, self._most_bytes, self._timestamps)
            if is_plain and not processors and not self._in_ascii
            else None
        )

    def end(self) -> tuple[Processor, ...]:
        """Translate into the schema and render."""
        renderer = structlog.processors.JSONRenderer(serializer=dumps)
        return (renderer,) if self._translate is None else (self._translate, renderer)

    def format(self, record: logging.LogRecord) -> str:
        """
        Return the line for *record*, without a line feed at its end; never raises.

        If a processor raises, the failure is reported once. The line then has only the fields of this package, those of
        an exception, and ``format_error``.
        """
        if self._shortcut is not None:
            try:
                line = self._shortcut.line(record, self._cleaner)
            except BaseException as error:  # noqa: BLE001 -- the chain handles whatever is odd about the record
                raise_interrupt(error)
                line = None
            if line is not None:
                return line
        return super().format(record)


class LogfmtFormatter(ChainFormatter):
    """
    Write a record as ``key=value`` pairs on one line, with the same fields as in JSON.

    Null has no text after the sign (``route=``); an empty text is quoted (``route=""``). Control characters are
    escaped. A list or mapping is JSON in quotes.
    """

    def end(self) -> tuple[Processor, ...]:
        """Render."""
        return (render_logfmt,)


class TextFormatter(ChainFormatter):
    """
    Write ``timestamp LEVEL logger message``, with the traceback of an exception below.

    Use it for ``grep 'Request took'``. Control characters are escaped, so a client cannot forge a line.
    """

    def end(self) -> tuple[Processor, ...]:
        """Render."""
        return (render_text,)


class ConsoleFormatter(ChainFormatter):
    """
    Write a record for people: aligned, coloured on a terminal, with the traceback below.

    A line that is wider than the terminal is continued below, indented, so that no field is split.

    Args:
        stream: The output, ``stdout`` or ``stderr``; None for a file. Colours are used if it is a terminal and the
            environment variable ``NO_COLOR`` is not set.
        processors: Your own structlog processors, as callables or dotted paths.
        service: Name of the service, on every line.
        version: Its version, on every line.
        environment: The deployment, for example ``production``, on every line.
    """

    def __init__(
        self,
        *,
        stream: StreamName | None = "stdout",
        processors: Iterable[Processor | str] = (),
        service: str | None = None,
        version: str | None = None,
        environment: str | None = None,
    ) -> None:
        self._is_terminal = stream is not None and is_terminal(getattr(sys, stream, None))
        self._colors = self._is_terminal and not os.environ.get("NO_COLOR")
        super().__init__(
            processors=processors, service=service, version=version, environment=environment, stream=stream
        )
        self._fit = lambda event, _: self._render_for_people(event)

    def _render_for_people(self, event: dict[str, Any]) -> str:
        text = self._render(event)
        return wrap(text, shutil.get_terminal_size().columns) if self._is_terminal else text

    def configure(self, settings: Settings) -> None:
        """Take the names of secrets from the settings; nothing is shortened for people."""
        self._cleaner = Cleaner(Secrets(settings.redact), shortens=False)

    def end(self) -> tuple[Processor, ...]:
        """Make every value printable and render."""
        return make_printable, structlog.dev.ConsoleRenderer(
            colors=self._colors, sort_keys=False, exception_formatter=structlog.dev.plain_traceback
        )
