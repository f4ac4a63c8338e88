"""
Formatters: turn a log record, from the standard library or from structlog, into one line.

Write. All four run the same chain of structlog processors and differ only in the renderer at its end.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterable
from typing import Any

import structlog

from obs_middleware.conf import Settings
from obs_middleware.failures import raise_interrupt
from obs_middleware.logs.chain import ChainFormatter, Processor
from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.line.encode import dumps
from obs_middleware.logs.line.limits import MAX_ROOM, SHORT_TEXT
from obs_middleware.logs.line.nested import THREAD
from obs_middleware.logs.line.render import make_printable, render_logfmt, render_text, wrap
from obs_middleware.logs.line.shortcut import Shortcut
from obs_middleware.logs.options import SchemaName, StreamName
from obs_middleware.logs.schemas import Translation, schema_named
from obs_middleware.logs.sinks.stream import is_terminal
from obs_middleware.redaction import Secrets

__all__ = ["ChainFormatter", "ConsoleFormatter", "JSONFormatter", "LogfmtFormatter", "TextFormatter"]


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
        if self._shortcut is not None and not THREAD.depth:  # the chain handles an inner record
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
        """Take the names of secrets from the settings; people see longer texts than programs."""
        self._cleaner = Cleaner(Secrets(settings.redact), room=MAX_ROOM)

    def end(self) -> tuple[Processor, ...]:
        """Make every value printable and render."""
        return make_printable, structlog.dev.ConsoleRenderer(
            colors=self._colors, sort_keys=False, exception_formatter=structlog.dev.plain_traceback
        )
