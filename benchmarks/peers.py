"""
The rows of other packages, each configured as its documentation says, at the installed version.

python-json-logger, ecs-logging and structlog only format lines, so they format the line of the seed.
"""

from __future__ import annotations

from typing import Any, Final

import structlog

from benchmarks.rows import SEED, Row, seed_logging

__all__ = ["PEERS"]

_TIMESTAMPER: Final = structlog.processors.TimeStamper(fmt="iso")


def _python_json_logger(formatter: str) -> Row:
    fields = {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}
    return Row(
        f"a line of text + python-json-logger{', orjson' if 'orjson' in formatter else ''}",
        SEED,
        lambda file, handler: seed_logging(file, handler, {"()": formatter, **fields}),
    )


def _processor_formatter(file: str, handler: str) -> dict[str, Any]:
    formatter = {
        "()": "structlog.stdlib.ProcessorFormatter",
        "foreign_pre_chain": [
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            _TIMESTAMPER,
        ],
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    }
    return seed_logging(file, handler, formatter)


def _configure_structlog() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            _TIMESTAMPER,
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


def _django_structlog(file: str, handler: str) -> dict[str, Any]:
    formatter = {
        "()": "structlog.stdlib.ProcessorFormatter",
        "processor": structlog.processors.JSONRenderer(),
    }
    return seed_logging(file, handler, formatter)


def _django_guid(file: str, handler: str) -> dict[str, Any]:
    result = seed_logging(file, handler, {"format": "%(levelname)s %(correlation_id)s %(name)s %(message)s"})
    result["filters"] = {"correlation_id": {"()": "django_guid.log_filters.CorrelationId"}}
    result["handlers"]["file"]["filters"] = ["correlation_id"]
    return result


def _instrument() -> None:
    from opentelemetry.instrumentation.django import DjangoInstrumentor  # noqa: PLC0415 -- only the process of this row needs it
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 -- as above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 -- as above

    DjangoInstrumentor().instrument(tracer_provider=TracerProvider(), meter_provider=MeterProvider())


PEERS: Final[dict[str, Row]] = {
    "django-guid": Row(
        "django-guid",
        dict.fromkeys(SEED, "django_guid.middleware.guid_middleware"),
        _django_guid,
        {"INSTALLED_APPS": ["django_guid"]},
    ),
    "python-json-logger": _python_json_logger("pythonjsonlogger.json.JsonFormatter"),
    "python-json-logger-orjson": _python_json_logger("pythonjsonlogger.orjson.OrjsonFormatter"),
    "ecs-logging": Row(
        "a line of text + ecs-logging",
        SEED,
        lambda file, handler: seed_logging(file, handler, {"()": "ecs_logging.StdlibFormatter"}),
    ),
    "structlog": Row("a line of text + structlog's ProcessorFormatter", SEED, _processor_formatter),
    "opentelemetry": Row("OpenTelemetry, SDK without exporter", after=_instrument, lines=0),
    "django-structlog": Row(
        "django-structlog",
        dict.fromkeys(SEED, "django_structlog.middlewares.RequestMiddleware"),
        _django_structlog,
        {"INSTALLED_APPS": ["django_structlog"]},
        before=_configure_structlog,
        lines=2,
    ),
}
"""The rows by name."""
