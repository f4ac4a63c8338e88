"""The set-up of each peer, as its documentation describes it, for `judge.py`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import structlog

GUID_SETTINGS: dict[str, Any] = {"DJANGO_GUID": {}}


def configure_structlog() -> None:
    """Send structlog's lines through the standard library, as the documentation of django-structlog shows."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.UnicodeDecoder(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def instrument_django() -> None:
    """Set OpenTelemetry up with its SDK. Spans and metrics are created, but not exported."""
    instrumentor = import_module("opentelemetry.instrumentation.django").DjangoInstrumentor()
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument(
            tracer_provider=import_module("opentelemetry.sdk.trace").TracerProvider(),
            meter_provider=import_module("opentelemetry.sdk.metrics").MeterProvider(),
        )
