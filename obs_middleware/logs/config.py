"""
Build the dict for ``LOGGING`` and the keyword arguments for ``structlog.configure``.

Write. Both are plain data. They read no settings, so you can call them in a settings module; the classes that they name
are imported when logging is configured.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final, get_args

from obs_middleware.logs.line.limits import MAX_BYTES_PIPE
from obs_middleware.logs.options import ForeignFormatter, Format, SchemaName, StreamName

__all__ = ["logging_config", "structlog_config"]

_FORMATTERS: Final[Mapping[Format, str]] = {
    "json": "obs_middleware.logs.formatters.JSONFormatter",
    "console": "obs_middleware.logs.formatters.ConsoleFormatter",
    "logfmt": "obs_middleware.logs.formatters.LogfmtFormatter",
    "text": "obs_middleware.logs.formatters.TextFormatter",
}
_PYTHON_JSON_LOGGER: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
_OF_ECS: Final = {"service": "service.name", "version": "service.version", "environment": "service.environment"}
_FILTERS: Final = "obs_middleware.logs.filters"
_NONBLOCKING: Final = "obs_middleware.logs.handlers.NonBlockingHandler"
_ACCESS_LOGS: Final = (
    "django.server",
    "django.channels.server",  # runserver with daphne or Channels
    "uvicorn.access",
    "gunicorn.access",
    "granian.access",
)


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
    formatter: ForeignFormatter | str | None = None,
) -> dict[str, Any]:
    """
    Return a dict for Django's ``LOGGING``: one line per request, and every other line with the request's context.

    You can edit the result. The function reads no settings and imports nothing of Django, so call it in your settings
    module. Django's own record of a failed request is folded into the request line on this handler; mail to the
    administrators is sent as before.

    Args:
        schema: The field names of ``json``: ``flat`` for the names of this package, or the field names of another
            system: ``ecs``, ``otel``, ``datadog`` or ``gcp``.
        format: ``json`` for shippers; ``console`` for people, with colours; ``logfmt``; or ``text``: timestamp, level,
            logger and message.
        level: The lowest level that is written. Above ``INFO`` you get no line for a request that succeeded.
        service: Name of the service, on every line.
        version: Its version, on every line.
        environment: The deployment, for example ``production``, on every line.
        stream: ``stdout`` or ``stderr``; ignored if *file* is given.
        file: Path of a file to append to. It is opened again after log rotation has renamed or removed it.
        nonblocking: Write from a separate thread, so that no request waits for a slow reader; see
            `obs_middleware.logs.handlers.NonBlockingHandler` for the cost.
        quiet_servers: Silence the access logs of runserver, uvicorn, gunicorn and granian, which would be a second line
            for each request. hypercorn configures its own later: do not pass ``--access-logfile``.
        loggers: More entries for ``loggers``: name -> level, or the whole entry.
        formatter: A formatter of another package instead of *format* and *schema*: ``python-json-logger``,
            ``ecs-logging``, or the dotted path of a class. The fields are attributes of the records that it gets.

    Raises:
        ValueError: *schema*, *format* or *stream* is unknown, or *formatter* is given beside an option that it ignores.
    """
    _check("schema", schema, SchemaName)
    _check("format", format, Format)
    _check("stream", stream, StreamName)
    constants = {"service": service, "version": version, "environment": environment}
    filters = ["fold_django_requests"]
    if formatter is None:
        form = _own_formatter(format, schema, stream, file, constants)
    elif (format, schema) == ("json", "flat"):
        form = _foreign_formatter(formatter, constants)
        filters.insert(0, "request_context")
    else:
        raise ValueError(
            f"logging_config(formatter={formatter!r}) decides about the form of a line: leave out format= and schema=."
        )
    output = _handler(stream, file, nonblocking=nonblocking)
    silent = {"handlers": ["null"], "level": "CRITICAL", "propagate": False}
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"obs": form},
        "filters": {
            "request_context": {"()": f"{_FILTERS}.RequestContextFilter"},
            "fold_django_requests": {"()": f"{_FILTERS}.FoldDjangoRequests"},
            "require_debug_false": {"()": "django.utils.log.RequireDebugFalse"},
        },
        "handlers": {
            "obs": {**output, "formatter": "obs", "filters": filters},
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
            # The sync worker warns about every HEAD request, because Django leaves dropping the body to the server.
            **({"gunicorn.http.wsgi": {"level": "ERROR"}} if quiet_servers else {}),
        },
    }
    for name, entry in (loggers or {}).items():
        # With only a level, Django's logger still mails the administrators, and an access log is written again.
        before = {} if name in _ACCESS_LOGS else config["loggers"].get(name, {})
        config["loggers"][name] = dict(entry) if isinstance(entry, Mapping) else {**before, "level": entry}
    return config


def _own_formatter(
    format_: Format,
    schema: SchemaName,
    stream: StreamName,
    file: str | PathLike[str] | None,
    constants: Mapping[str, str | None],
) -> dict[str, Any]:
    form: dict[str, Any] = {"()": _FORMATTERS[format_], **constants}
    if format_ == "json":
        form["schema"] = schema
    if file is None:
        form["stream"] = stream
    elif format_ == "console":
        form["stream"] = None  # the default of this formatter is stdout
    elif Path(file).is_fifo():
        form["max_bytes"] = MAX_BYTES_PIPE
    return form


def _foreign_formatter(name: str, constants: Mapping[str, str | None]) -> dict[str, Any]:
    given = {field: value for field, value in constants.items() if value is not None}
    if name == "python-json-logger":
        form: dict[str, Any] = {"()": "pythonjsonlogger.json.JsonFormatter", "fmt": _PYTHON_JSON_LOGGER}
        return {**form, "static_fields": given} if given else form
    if name == "ecs-logging":
        form = {"()": "ecs_logging.StdlibFormatter"}
        extra = {_OF_ECS[field]: value for field, value in given.items()}
        return {**form, "extra": extra} if extra else form
    if "." not in name:
        known = ", ".join(get_args(ForeignFormatter))
        raise ValueError(
            f"logging_config(formatter={name!r}): expected one of {known}, or the dotted path of a class, such as "
            "shop.logs.MyFormatter."
        )
    if given:
        raise ValueError(
            f"logging_config(formatter={name!r}) cannot pass {', '.join(given)} on, because it does not know how your "
            'formatter takes them. Add them to the result: LOGGING["formatters"]["obs"].'
        )
    return {"()": name}


def _handler(stream: StreamName, file: str | PathLike[str] | None, *, nonblocking: bool) -> dict[str, Any]:
    if nonblocking:
        target = {"stream": stream} if file is None else {"file": fspath(file)}
        return {"class": _NONBLOCKING, **target, "flush_on_sigterm": True}
    if file is None:
        return {"class": "obs_middleware.logs.handlers.LineStreamHandler", "stream": f"ext://sys.{stream}"}
    return {"class": "obs_middleware.logs.handlers.LineFileHandler", "filename": fspath(file)}


def structlog_config() -> dict[str, Any]:
    """
    Return keyword arguments for ``structlog.configure``: structlog loggers write through the handlers of `LOGGING`.

    Loggers of structlog and of the standard library then give the same lines, with the request's context. The chain
    does only what must happen at the call; the formatter does the rest.
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
