"""
Formatters: turn a log record, from the standard library or from structlog, into one line.

Write. All four run the same chain of structlog processors and differ only in the renderer at its end.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any

import structlog

from obs_middleware.conf import Settings
from obs_middleware.display.terminal import is_terminal, takes_colours, width_of
from obs_middleware.failures import raise_interrupt
from obs_middleware.logs.chain import ChainFormatter, Processor
from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.line.encode import dumps
from obs_middleware.logs.line.limits import MAX_ROOM, SHORT_TEXT
from obs_middleware.logs.line.nested import THREAD
from obs_middleware.logs.line.record import LEVELS
from obs_middleware.logs.line.render import render_logfmt, render_row, render_text
from obs_middleware.logs.line.shapes import Shapes
from obs_middleware.logs.line.shortcut import Shortcut
from obs_middleware.logs.line.source import Frame
from obs_middleware.logs.line.usual import usual_fields
from obs_middleware.logs.options import OutputName, SchemaName
from obs_middleware.logs.processors import EventDict, add_exception
from obs_middleware.logs.schemas import schema_named
from obs_middleware.logs.schemas.plans import Planner, plan_flat
from obs_middleware.logs.sinks.standard import stream_named
from obs_middleware.redaction import Secrets

__all__ = [
    "ChainFormatter",
    "ConsoleFormatter",
    "JSONFormatter",
    "LogfmtFormatter",
    "TextFormatter",
    "auto_formatter",
]


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
        stream: The output, ``stdout``, ``stderr`` or ``auto``; None for a file.
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
        stream: OutputName | None = None,
        max_bytes: int | None = None,
    ) -> None:
        processors = tuple(processors)
        table = schema_named(schema)
        self._translate = None if table is None else Planner(table)
        super().__init__(
            processors=processors,
            service=service,
            version=version,
            environment=environment,
            stream=stream,
            max_bytes=max_bytes,
        )

    def configure(self, settings: Settings) -> None:
        """Take the names of secrets from the settings, and forget the plans that were made with others."""
        super().configure(settings)
        self._shortcut = self._shapes = None
        if self._in_ascii or not all(
            type(text) is str and len(text) <= SHORT_TEXT for text in self._constants.values()
        ):
            return
        make = plan_flat if self._translate is None else self._translate.plan
        if self._processors:
            self._shapes = Shapes(make, self._cleaner, Frame(self._most_bytes))
        else:
            self._shortcut = Shortcut(
                constants=self._constants,
                make=make,
                is_flat=self._translate is None,
                cleaner=self._cleaner,
                most_bytes=self._most_bytes,
                timestamps=self._timestamps,
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
        if self._shortcut is not None and not THREAD.depth:  # the chain handles an inner record
            try:
                line = self._shortcut.line(record)
            except BaseException as error:  # noqa: BLE001 -- the chain handles whatever is odd about the record
                raise_interrupt(error)
                line = None
            if line is not None:
                return line
        return super().format(record)

    def _fields(self, record: logging.LogRecord, depth: int) -> Any:
        """Do the same as the chain, but for a usual record in fewer steps."""
        if depth or self._shapes is None:
            return super()._fields(record, depth)
        try:
            usual = usual_fields(record)
        except BaseException as error:  # noqa: BLE001 -- the chain handles whatever is odd about the record
            raise_interrupt(error)
            usual = None
        if usual is None:
            return super()._fields(record, depth)
        message, _, fields, _ = usual
        event_dict: Any = {
            "timestamp": self._timestamps.text(record.created),
            "level": LEVELS[record.levelno],
            "logger": record.name,
            "event": message,
            "event_id": record.event_id,  # type: ignore[attr-defined]  # usual_fields() has set it
            **self._constants,
            **fields,
        }
        for processor in self._processors:
            event_dict = processor(record, record.levelname, event_dict)
        return add_exception(record, record.levelname, event_dict) if "exc_info" in event_dict else event_dict

    def _line(self, event_dict: Any) -> str:
        """Do the same as the chain, but with a plan if there is one for the shape of the event."""
        if self._shapes is not None and type(event_dict) is dict:
            try:
                line = self._shapes.line(event_dict)
            except BaseException as error:  # noqa: BLE001 -- the chain handles whatever is odd about a value
                raise_interrupt(error)
                line = None
            if line is not None:
                return line
        return super()._line(event_dict)


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
    Write a record as a short row for people, coloured on a terminal, with the traceback below.

    A request is one row: time, method, path, status, duration and database queries, then what was bound and the
    beginning of the id. Fields for programs are left out. A row that is wider than the terminal is continued below.
    The time is that of the process's time zone, which Django sets to ``TIME_ZONE``.

    Args:
        stream: The output, ``stdout``, ``stderr`` or ``auto``; None for a file, which gets no colours. See
            `obs_middleware.display.terminal.takes_colours` for ``NO_COLOR`` and ``FORCE_COLOR``.
        processors: Your own structlog processors, as callables or dotted paths.
        service: Name of the service; not shown.
        version: Its version; not shown.
        environment: The deployment, for example ``production``; not shown.
    """

    def __init__(
        self,
        *,
        stream: OutputName | None = "stdout",
        processors: Iterable[Processor | str] = (),
        service: str | None = None,
        version: str | None = None,
        environment: str | None = None,
    ) -> None:
        self._stream = None if stream is None else stream_named(stream)
        self._colours = self._stream is not None and takes_colours(getattr(sys, self._stream, None))
        super().__init__(
            processors=processors, service=service, version=version, environment=environment, stream=stream
        )
        self._fit = lambda event, _: self._render(event)

    def configure(self, settings: Settings) -> None:
        """Take the names of secrets from the settings; people see longer texts than programs."""
        self._cleaner = Cleaner(Secrets(settings.redact), room=MAX_ROOM)

    def end(self) -> tuple[Processor, ...]:
        """Render."""
        return (self._row,)

    def _row(self, _: Any, __: str, event: EventDict) -> str:
        width = None if self._stream is None else width_of(getattr(sys, self._stream, None))
        return render_row(event, width, colours=self._colours)


def auto_formatter(
    *, schema: SchemaName = "flat", stream: OutputName = "stdout", max_bytes: int | None = None, **options: Any
) -> ConsoleFormatter | JSONFormatter:
    """
    Return a `ConsoleFormatter` if *stream* is a terminal now, otherwise a `JSONFormatter`.

    Args:
        schema: The schema of JSON.
        stream: The output.
        max_bytes: The limit of a line of JSON.
        options: The arguments that both take: ``processors``, ``service``, ``version`` and ``environment``.
    """
    if is_terminal(getattr(sys, stream_named(stream), None)):
        return ConsoleFormatter(stream=stream, **options)
    return JSONFormatter(schema=schema, stream=stream, max_bytes=max_bytes, **options)
