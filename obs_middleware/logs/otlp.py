"""
`OTLPHandler`: send the lines to OpenTelemetry as log records.

Write. It needs the packages ``opentelemetry-sdk`` and, unless you name another exporter,
``opentelemetry-exporter-otlp-proto-http``. Nothing else in this package imports them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, Final, Literal

from django.utils.module_loading import import_string
from opentelemetry._logs import get_logger_provider
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, get_value, set_value
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from obs_middleware.failures import report_once
from obs_middleware.logs.chain import Processor
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.sinks.log_records import log_record, seal
from obs_middleware.logs.sinks.losses import REPORT_SECONDS
from obs_middleware.logs.sinks.queued import Line, QueuedHandler, check_options

__all__ = ["ExportError", "OTLPHandler"]

_BATCH_BYTES: Final = 1_000_000
"""A collector takes 4 MiB in one request of gRPC, and 20 MiB over HTTP."""

_OF_EXPORTERS: Final = ("opentelemetry.", "urllib3.", "requests.", "grpc.")
"""Loggers that write about an export. Such a record would cause the next export, and so on without end."""

Exporter = Callable[[], Any]
Send = Callable[[Sequence[bytes]], None]


class ExportError(Exception):
    """OpenTelemetry did not take a batch of log records. They are counted as dropped."""


class OTLPHandler(QueuedHandler):
    """
    Send each line to OpenTelemetry as a log record, from a separate thread, over OTLP/HTTP unless you say otherwise.

    A record has the fields of the schema ``otel``: attributes under the names of the semantic conventions, the message
    as body, severity, exception, and the trace as the record's own ids, also if OpenTelemetry has no active span. The
    caller formats the line, so redaction, limits and your processors are the same as for JSON. Put the filter
    `FoldDjangoRequests` on the handler. Give it no formatter: it has its own.

    Lines are collected for half a second, or until somebody flushes. No request waits for the network. The exporter
    tries again for up to its timeout, 10 seconds. After that, the batch is dropped. If the queue is full, the newest
    line is dropped. Losses are counted and reported as those of `obs_middleware.logs.handlers.NonBlockingHandler`.
    The queue is sent at exit, on SIGTERM and at the end of child processes, for up to 5 seconds. After a fork, the
    child makes an exporter of its own.

    Args:
        service: Name of the service, ``service.name`` of the resource. None: ``OTEL_SERVICE_NAME``.
        version: Its version.
        environment: The deployment, for example ``production``.
        endpoint: The URL of the collector, with its path: ``http://localhost:4318/v1/logs``. None: as the variables
            ``OTEL_EXPORTER_OTLP_ENDPOINT`` and ``OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`` say.
        exporter: Returns another exporter of the SDK, for example its class, or the dotted path of that. It is called
            once in each process.
        provider: ``own``, or ``global`` for the logger provider that your code has set with ``set_logger_provider``.
            Its resource and its processors then decide, and a line counts as written when the provider has it.
        processors: Your own structlog processors, as callables or dotted paths.
        max_bytes: The limit of a line in bytes; None for 16,000.
        capacity: The limit of queued lines.
        overflow: ``drop`` the newest line when the queue is full, or ``block`` the caller until there is room.
        flush_on_sigterm: Send the queue on SIGTERM, as in `obs_middleware.logs.handlers.NonBlockingHandler`.

    Raises:
        ValueError: An option is wrong, or options exclude each other.
        ImportError: A package is missing.
    """

    pause_seconds = 0.5

    def __init__(  # noqa: PLR0913 -- keyword-only, each with a default
        self,
        *,
        service: str | None = None,
        version: str | None = None,
        environment: str | None = None,
        endpoint: str | None = None,
        exporter: Exporter | str | None = None,
        provider: Literal["own", "global"] = "own",
        processors: Iterable[Processor | str] = (),
        max_bytes: int | None = None,
        capacity: int = 10_000,
        overflow: Literal["drop", "block"] = "drop",
        flush_on_sigterm: bool = True,
    ) -> None:
        check_options(capacity, overflow)
        described = {
            "service.name": service,
            "service.version": version,
            "deployment.environment.name": environment,
        }
        _check_together(provider, endpoint, exporter, described)
        self._attributes = {name: value for name, value in described.items() if value is not None}
        self._make = None if provider == "global" else _maker(endpoint, exporter)
        self._send: _Export | Send | None = None
        self._resource: Resource | None = None
        self._caller_tries_from = 0.0
        super().__init__("OpenTelemetry", capacity=capacity, overflow=overflow, flush_on_sigterm=flush_on_sigterm)
        self.formatter = JSONFormatter(
            schema="otel",
            processors=processors,
            service=service,
            version=version,
            environment=environment,
            max_bytes=max_bytes,
        )
        self._open()

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 -- its name in Python
        """
        Refuse another formatter.

        Raises:
            ValueError: Always. The handler has a formatter of its own.
        """
        raise ValueError(
            f"OTLPHandler formats its records itself, and not with {type(fmt).__name__}: leave out 'formatter'. "
            "It takes processors= and max_bytes=."
        )

    def _reset(self) -> None:
        super()._reset()
        self._send = None  # a child process must not use the connections of its parent

    # In the caller

    def emit(self, record: logging.LogRecord) -> None:
        """Format *record* and queue the line, unless it is about the export itself."""
        if get_value(_SUPPRESS_INSTRUMENTATION_KEY) and (
            self._is_writer() or f"{record.name}.".startswith(_OF_EXPORTERS)
        ):
            return
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for *record*, with what the thread cannot know."""
        return seal(record.levelno, super().format(record))

    # In the thread

    def _batch_bytes(self) -> int:
        return _BATCH_BYTES

    def _deliver(self, lines: Sequence[Line]) -> int:
        in_thread = self._is_writer()
        if not in_thread and monotonic() < self._caller_tries_from:
            return 0  # no caller waits for a collector again that has just not answered
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            (self._send or self._open())([line for line, _ in lines])
        except Exception as error:  # noqa: BLE001 -- an exporter is foreign code
            if not in_thread:
                self._caller_tries_from = monotonic() + REPORT_SECONDS
            self._losses.tell(error)
            return 0
        finally:
            detach(token)
        return len(lines)

    def _close_output(self) -> None:
        send, self._send = self._send, None
        if isinstance(send, _Export):
            send.close()

    def _open(self) -> Send:
        """Return the function that sends log records from this process."""
        if self._make is None:
            self._send = _give_to_provider
        else:
            self._send = _Export(self._make(), self._describe())
        return self._send

    def _describe(self) -> Resource:
        """Return the resource, found anew in each process: it may have the id of the process."""
        try:
            self._resource = Resource.create(self._attributes)
        except RuntimeError:
            # It asks in threads, and at exit none can be started. Then the resource of the parent process must do.
            if self._resource is None:
                raise
        return self._resource


class _Export:
    """
    Send lines through an exporter.

    Args:
        exporter: The exporter.
        resource: Describes the service.
    """

    def __init__(self, exporter: Any, resource: Resource) -> None:
        self._exporter = exporter
        self._resource = resource

    def __call__(self, lines: Sequence[bytes]) -> None:
        """
        Export *lines*, all or none.

        Raises:
            ExportError: The exporter has given up.
            Exception: The exporter raised it.
        """
        result = self._exporter.export([self._readable(line) for line in lines])
        if getattr(result, "name", None) != "SUCCESS":
            raise ExportError("the exporter has given up; its own logger, below 'opentelemetry', says why")

    def close(self) -> None:
        """Close the connections."""
        try:
            self._exporter.shutdown()
        except Exception as error:  # noqa: BLE001 -- an exporter is foreign code
            report_once("OTLPHandler.close", error)

    def _readable(self, line: bytes) -> ReadableLogRecord:
        record, scope = log_record(line, self._resource.attributes)
        return ReadableLogRecord(record, self._resource, InstrumentationScope(scope))


def _give_to_provider(lines: Sequence[bytes]) -> None:
    """Give *lines* to the logger provider of the site, whose own processors send them."""
    provider = get_logger_provider()
    if not hasattr(provider, "add_log_record_processor"):
        raise ExportError("no logger provider is set; call opentelemetry._logs.set_logger_provider() first")
    for line in lines:
        record, scope = log_record(line, {})
        provider.get_logger(scope).emit(record)


def _maker(endpoint: str | None, exporter: Exporter | str | None) -> Exporter:
    """Return what makes the exporter."""
    if isinstance(exporter, str):
        exporter = import_string(exporter)
    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import (  # noqa: PLC0415 -- another exporter needs no such package
            OTLPLogExporter,
        )

        return lambda: OTLPLogExporter(endpoint=endpoint)
    if not callable(exporter):
        raise ValueError(  # noqa: TRY004 -- as for any wrong value
            f"OTLPHandler(exporter={exporter!r}): expected a class or function that makes an exporter, or its dotted "
            "path. Each process makes its own."
        )
    return exporter


def _check_together(
    provider: str, endpoint: str | None, exporter: Exporter | str | None, described: Mapping[str, str | None]
) -> None:
    """Raise ValueError for options of which one would have no effect beside another."""
    if provider not in {"own", "global"}:
        raise ValueError(f"OTLPHandler(provider={provider!r}): expected 'own' or 'global'.")
    if endpoint is not None and exporter is not None:
        raise ValueError("OTLPHandler() takes endpoint= or exporter=, not both: your exporter knows its endpoint.")
    if provider == "global" and any(value is not None for value in (endpoint, exporter, *described.values())):
        raise ValueError(
            "OTLPHandler(provider='global') takes no endpoint, exporter, service, version or environment: "
            "the logger provider that you have set has them."
        )
