"""
The dict for ``LOGGING`` and the keywords for ``structlog.configure``.

Write. Both are plain data made without reading any setting, so a settings module may call them; what they name is
imported when logging is configured.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final, get_args

from obs_middleware.logs.line.limits import MAX_BYTES_PIPE
from obs_middleware.logs.options import Format, SchemaName, StreamName

__all__ = ["logging_config", "structlog_config"]

_FORMATTERS: Final[Mapping[Format, str]] = {
    "json": "obs_middleware.logs.formatters.JSONFormatter",
    "console": "obs_middleware.logs.formatters.ConsoleFormatter",
    "logfmt": "obs_middleware.logs.formatters.LogfmtFormatter",
    "text": "obs_middleware.logs.formatters.TextFormatter",
}
_NONBLOCKING: Final = "obs_middleware.logs.handlers.NonBlockingHandler"
_ACCESS_LOGS: Final = ("django.server", "uvicorn.access", "gunicorn.access", "granian.access")


def logging_config(  # noqa: PLR0913 -- keyword-only, each with a default
    *,
    schema: SchemaName = "flat",
    format: Format = "json",  # noqa: A002 -- the word that its users know from logging
    level: str | int = "INFO",
    service: str | None = None,
    version: str | None = None,
    environment: str | None = None,
    stream: StreamName = "stdout",
    file: str | PathLike[str] | None = None,
    nonblocking: bool = False,
    quiet_servers: bool = True,
    loggers: Mapping[str, str | int | Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """
    Return a dict for Django's ``LOGGING``: one line per request, and every other line with the request's context.

    The result is yours to edit. Reads no settings and imports nothing of Django, so call it inside your settings
    module. Django's own record of a request that failed is folded into the request line on this handler; mail to the
    administrators goes out as before.

    Args:
        schema: How the fields of ``json`` are named: ``flat``, with this package's names; or as those name them who
            take the lines: ``ecs``, ``otel``, ``datadog`` or ``gcp``.
        format: ``json`` for shippers; ``console``, coloured for people; ``logfmt``; or ``text``: timestamp, level,
            logger and message.
        level: Lowest level that is written; above ``INFO`` the request line is not.
        service: Name of the service, on every line.
        version: Its version, on every line.
        environment: Such as ``production``, on every line.
        stream: ``stdout`` or ``stderr``; not used when there is a *file*.
        file: Path of a file to append to; it is opened again when it has been renamed or removed, as log rotation does.
        nonblocking: Write from a thread of its own, so that no request waits for whoever reads the lines; see
            `obs_middleware.logs.handlers.NonBlockingHandler` for what that costs.
        quiet_servers: Silence the access logs of runserver, uvicorn, gunicorn and granian, which would be a second line
            for each request. hypercorn sets its own up later: leave its ``--access-logfile`` out.
        loggers: Further entries for ``loggers``: name -> level, or the whole entry.

    Raises:
        ValueError: There is no such *schema*, *format* or *stream*.
    """
    _check("schema", schema, SchemaName)
    _check("format", format, Format)
    _check("stream", stream, StreamName)
    formatter: dict[str, Any] = {
        "()": _FORMATTERS[format],
        "service": service,
        "version": version,
        "environment": environment,
    }
    if format == "json":
        formatter["schema"] = schema
    if file is None:
        formatter["stream"] = stream
    elif format == "console":
        formatter["stream"] = None  # for it takes stdout if nothing is said
    elif Path(file).is_fifo():
        formatter["max_bytes"] = MAX_BYTES_PIPE
    output: dict[str, Any]
    if nonblocking:
        target = {"stream": stream} if file is None else {"file": fspath(file)}
        output = {"class": _NONBLOCKING, **target, "flush_on_sigterm": True}
    elif file is None:
        output = {"class": "logging.StreamHandler", "stream": f"ext://sys.{stream}"}
    else:
        output = {"class": "obs_middleware.logs.handlers.LineFileHandler", "filename": fspath(file)}
    silent = {"handlers": ["null"], "level": "CRITICAL", "propagate": False}
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"obs": formatter},
        "filters": {
            "fold_django_requests": {"()": "obs_middleware.logs.filters.FoldDjangoRequests"},
            "require_debug_false": {"()": "django.utils.log.RequireDebugFalse"},
        },
        "handlers": {
            "obs": {**output, "formatter": "obs", "filters": ["fold_django_requests"]},
            "mail_admins": {
                "()": "obs_middleware.logs.handlers.mail_admins",
                "level": "ERROR",
                "filters": ["require_debug_false"],
            },
            "null": {"class": "logging.NullHandler"},
        },
        "root": {"handlers": ["obs"], "level": level},
        "loggers": {
            # Django's default console handler would write everything a second time.
            "django": {"handlers": ["mail_admins"], "level": "INFO", "propagate": True},
            # NullHandler, not an empty list: without any handler Python prints warnings to stderr (logging.lastResort).
            **({name: dict(silent) for name in _ACCESS_LOGS} if quiet_servers else {}),
            # Its sync worker warns of every HEAD request, because Django leaves it to the server to drop the body.
            **({"gunicorn.http.wsgi": {"level": "ERROR"}} if quiet_servers else {}),
        },
    }
    for name, entry in (loggers or {}).items():
        # A level alone leaves Django's logger its mail to the administrators, and gives an access log its voice back.
        before = {} if name in _ACCESS_LOGS else config["loggers"].get(name, {})
        config["loggers"][name] = dict(entry) if isinstance(entry, Mapping) else {**before, "level": entry}
    return config


def structlog_config() -> dict[str, Any]:
    """
    Return keyword arguments for ``structlog.configure``: structlog loggers write through the handlers of `LOGGING`.

    So loggers of structlog and of the standard library come out alike, with the request's context on both. The chain
    does what must be done at the call; the rest is the formatter's.
    """
    import structlog  # noqa: PLC0415 -- a tenth of a second, which the console script need not spend on every start

    return {
        "processors": [
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        "logger_factory": structlog.stdlib.LoggerFactory(),
        "wrapper_class": structlog.stdlib.BoundLogger,
        "cache_logger_on_first_use": True,
    }


def _check(name: str, value: object, choices: Any) -> None:
    """Raise ValueError if *value* is not one of *choices*, a `Literal`."""
    known = get_args(choices)
    if value not in known:
        raise ValueError(f"logging_config({name}={value!r}): expected one of {', '.join(known)}.")
