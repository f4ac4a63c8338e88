"""
Formatters: a log record, of the standard library or of structlog, becomes one line.

Write. All four run the same structlog chain over the same event dict and differ only in the renderer at its end.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import structlog
from django.utils.module_loading import import_string

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.failures import report_once
from obs_middleware.logs.line.clean import Cleaner, unused_key
from obs_middleware.logs.line.encode import dumps
from obs_middleware.logs.line.escape import escape_controls, takes_unicode, to_ascii
from obs_middleware.logs.line.exceptions import error_fields
from obs_middleware.logs.line.fit import Fit, default_max_bytes
from obs_middleware.logs.line.limits import MAX_BYTES, MAX_TRACE_BYTES, MAX_TRACE_BYTES_PIPE, SHORT_TEXT
from obs_middleware.logs.line.record import LEVELS, RECORD_SIZE, event_id_of, extra_of, unformatted
from obs_middleware.logs.line.shortcut import Shortcut
from obs_middleware.logs.line.timestamps import Timestamps
from obs_middleware.logs.options import SchemaName, StreamName
from obs_middleware.logs.processors import (
    EventDict,
    add_exception,
    add_request_context,
    facts_of,
    is_equal,
    merge_bound_contextvars,
)
from obs_middleware.logs.schemas import Translation, schema_named
from obs_middleware.measure.event import current_event
from obs_middleware.measure.vocabulary import FIELDS, own_name
from obs_middleware.redaction import Secrets

__all__ = ["ChainFormatter", "ConsoleFormatter", "JSONFormatter", "LogfmtFormatter", "TextFormatter"]

Processor = Callable[[Any, str, EventDict], Any]

_STACK: Final = "Stack (most recent call last)"
"""How a stack begins that structlog has made."""


class ChainFormatter(logging.Formatter):
    """
    Everything but the end of the chain; not to be used itself.

    Args:
        processors: Your own structlog processors, called once a line each, after the context has been added. Callables
            or dotted paths. One that raises costs the line the application's fields, never the request.
        service: Name of the service, on every line.
        version: Its version, on every line.
        environment: Such as ``production``, on every line.
        stream: ``stdout`` or ``stderr``, where the lines will go; None for a file. If its encoding is not UTF-8, what
            is not ASCII is spelt out.
        max_bytes: The most that a line may have, encoded and with its line feed; beyond it a line is shrunk, and says
            so in ``truncated``. None for 16,000, or 4,096 if *stream* is a pipe, which mixes longer lines with those of
            other processes.

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
        # Logging is configured before the system checks could say what is wrong with the settings.
        keep_configured(self, lenient=True)

    def configure(self, settings: Settings) -> None:
        """Take over which names are secret."""
        self._cleaner = Cleaner(Secrets(settings.redact), trace_bytes=self._trace_bytes)

    def end(self) -> tuple[Processor, ...]:
        """Return the last processors, which find only clean values; the very last returns the line."""
        raise NotImplementedError  # abstract: every formatter below has its own

    def format(self, record: logging.LogRecord) -> str:
        """
        Return the line for *record*, without a line feed at its end; never raises.

        When a processor fails, which is reported once, the line is written with the fields of this package alone, those
        of an exception included, and has ``format_error``.
        """
        try:
            event_dict: Any = self._event_dict(record)
            for processor in self._chain:
                event_dict = processor(record, record.levelname, event_dict)
            return self._fit(*self._cleaner.clean_fields(event_dict))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 -- also structlog.DropEvent, which is no Exception
            report_once(f"{type(self).__qualname__}.format", error)
            return self._fit(*self._cleaner.clean_fields(self._core(record, error)))

    def _render(self, event: dict[str, Any]) -> str:
        result: Any = event
        for processor in self._end:
            result = processor(None, "", result)
        text = result if type(result) is str else str(result)
        return to_ascii(text) if self._in_ascii else text

    def _core(self, record: logging.LogRecord, error: BaseException) -> EventDict:
        """Return what this package itself knows, and the exception, without anything that the application added."""
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
        # issubclass, not isinstance: the latter evaluates a lazy object
        message: Any = record.msg
        if issubclass(type(message), Mapping):
            # From a structlog logger whose chain ends in ProcessorFormatter.wrap_for_formatter, or a dict as message.
            own.update(message)
            event_dict = self._head(record, own.pop("event", ""))
            stack = own.get("stack")
            if type(stack) is str and stack.startswith(_STACK):  # what structlog makes of stack_info=True
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
    """Return *own* without what says the same as the line itself: `RequestContextFilter` puts it there for others."""
    event = current_event.get()
    if event is None or "request_id" not in own:
        return own.items()
    facts = facts_of(event, record.msg)
    return [(name, value) for name, value in own.items() if name not in facts or not is_equal(value, facts[name])]


class JSONFormatter(ChainFormatter):
    """
    Write a record as one line of strict JSON.

    The record runs through a structlog processor chain: the request's context (`add_request_context`), what was bound
    with structlog's own ``bind_contextvars``, your *processors*, exceptions as fields, the translation into the
    *schema*, and a `structlog.processors.JSONRenderer`. Inside the chain the text is under ``event``, as structlog has
    it; on the line it is ``message``. ``extra={...}`` of a standard-library call and keyword arguments of a structlog
    call become fields; one that has the name of a field of the package is renamed ``app_<name>``.

    Args:
        schema: How the fields are named: ``flat``, ``ecs``, ``otel``, ``datadog`` or ``gcp``.
        processors: As in the other formatters: your own structlog processors, or dotted paths of them.
        service: Name of the service, on every line.
        version: Its version, on every line.
        environment: Such as ``production``, on every line.
        stream: ``stdout`` or ``stderr``, where the lines will go; None for a file.
        max_bytes: The most that a line may have; None for 16,000, or 4,096 if *stream* is a pipe.

    Raises:
        ValueError: There is no such *schema*, or *max_bytes* is below 2,048.
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
        """Translate into the schema, and render."""
        renderer = structlog.processors.JSONRenderer(serializer=dumps)
        return (renderer,) if self._translate is None else (self._translate, renderer)

    def format(self, record: logging.LogRecord) -> str:
        """
        Return the line for *record*, without a line feed at its end; never raises.

        When a processor fails, which is reported once, the line is written with the fields of this package alone, and
        has ``format_error``.
        """
        if self._shortcut is not None:
            try:
                line = self._shortcut.line(record, self._cleaner)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:  # noqa: BLE001 -- whatever is odd about the record is the chain's to see to
                line = None
            if line is not None:
                return line
        return super().format(record)


class LogfmtFormatter(ChainFormatter):
    """
    Write a record as ``key=value`` pairs on one line; the same event as in JSON.

    Null is nothing behind the sign (``route=``), an empty text is quoted (``route=""``). Control characters are spelt
    out. A list or mapping is JSON in quotes.
    """

    def end(self) -> tuple[Processor, ...]:
        """Render."""
        return (_render_logfmt,)


def _render_logfmt(_: Any, __: str, event_dict: EventDict) -> str:
    return " ".join(f"{_logfmt_key(name)}={_logfmt_value(value)}" for name, value in event_dict.items())


def _logfmt_key(name: Any) -> str:
    return "".join("_" if not c.isprintable() or c in ' ="' else c for c in str(name)) or "_"


def _logfmt_value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = dumps({"": value})[4:-1] if isinstance(value, (dict, list)) else str(value)
    if text and text.isprintable() and not set(' ="\\') & set(text):
        return text
    return '"' + escape_controls(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


class TextFormatter(ChainFormatter):
    """
    Write ``timestamp LEVEL logger message``, with a traceback below it when there is one.

    For ``grep 'Request took'``. Control characters are spelt out, so what a client sends cannot forge a line.
    """

    def end(self) -> tuple[Processor, ...]:
        """Render."""
        return (_render_text,)


def _render_text(_: Any, __: str, event_dict: EventDict) -> str:
    head = (event_dict["timestamp"], event_dict["level"].upper(), event_dict.get("logger", ""), event_dict["message"])
    lines = [" ".join(escape_controls(str(part)) for part in head)]
    lines.extend(_trace_lines(event_dict))
    return "\n".join(lines)


def _trace_lines(event_dict: EventDict) -> list[str]:
    trace = "\n".join(str(event_dict[name]) for name in ("stack_info", "stack_trace") if event_dict.get(name))
    # Indented, for a text of an exception may have lines of its own, which must not look like lines of the log.
    return [f"  {escape_controls(line)}" for line in trace.split("\n")] if trace else []


class ConsoleFormatter(ChainFormatter):
    """
    Write a record for people: aligned, coloured on a terminal, the traceback below it.

    On a terminal a line that is wider goes on below, indented, so that no field is split at the edge.

    Args:
        stream: ``stdout`` or ``stderr``, where the lines will go; None for a file. There is colour if that is a
            terminal and the environment variable ``NO_COLOR`` is not set.
        processors: As in the other formatters: your own structlog processors, or dotted paths of them.
        service: Name of the service, on every line.
        version: Its version, on every line.
        environment: Such as ``production``, on every line.
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
        output = stream and getattr(sys, stream, None)
        self._is_terminal = bool(output and output.isatty())
        self._colors = self._is_terminal and not os.environ.get("NO_COLOR")
        super().__init__(
            processors=processors, service=service, version=version, environment=environment, stream=stream
        )
        self._fit = lambda event, _: self._render_for_people(event)

    def _render_for_people(self, event: dict[str, Any]) -> str:
        text = self._render(event)
        return _wrap(text, shutil.get_terminal_size().columns) if self._is_terminal else text

    def configure(self, settings: Settings) -> None:
        """Take over which names are secret; nothing is shortened for people."""
        self._cleaner = Cleaner(Secrets(settings.redact), shortens=False)

    def end(self) -> tuple[Processor, ...]:
        """Make every value printable, and render."""
        return _make_printable, structlog.dev.ConsoleRenderer(
            colors=self._colors, sort_keys=False, exception_formatter=structlog.dev.plain_traceback
        )


_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


def _wrap(text: str, width: int) -> str:
    """Return *text* with its first line broken at spaces, where it has some, to *width* characters that are seen."""
    head, end, trace = text.partition("\n")
    if len(_COLOURS.sub("", head)) <= width:
        return text
    parts: list[str] = []
    column = 0
    for word in head.split(" "):
        size = len(_COLOURS.sub("", word))
        if parts and column + 1 + size > width:
            parts.append("\n    ")
            column = 4 + size
        else:
            parts.append(" " if parts else "")
            column += size + bool(column)
        parts.append(word)
    return "".join((*parts, end, trace))


def _make_printable(_: Any, __: str, event_dict: EventDict) -> EventDict:
    trace = _trace_lines(event_dict)
    printable = {"event": escape_controls(event_dict["message"])}
    for name, value in event_dict.items():
        if name not in {"message", "event_id", "stack_info", "stack_trace"}:
            # The renderer takes what has these names for a trace.
            shown = f"app_{name}" if name in {"exception", "stack"} else escape_controls(name)
            printable[shown] = escape_controls(value) if isinstance(value, str) else value
    if trace:
        printable["exception"] = "\n".join(trace)
    return printable
