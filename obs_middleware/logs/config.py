"""
Build the dict for ``LOGGING`` and the keyword arguments for ``structlog.configure``.

Write. Both are plain data. They read no settings, so you can call them in a settings module; the classes that they name
are imported when logging is configured.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, get_args

from obs_middleware.logs.line.limits import LEAST_BYTES, MAX_BYTES_PIPE
from obs_middleware.logs.options import ForeignFormatter, Format, OutputName, SchemaName, StreamName

if TYPE_CHECKING:
    from obs_middleware.logs.chain import Processor

__all__ = ["logging_config", "structlog_config"]

_FORMATTERS: Final[Mapping[Format, str]] = {
    "json": "obs_middleware.logs.formatters.JSONFormatter",
    "console": "obs_middleware.logs.formatters.ConsoleFormatter",
    "logfmt": "obs_middleware.logs.formatters.LogfmtFormatter",
    "text": "obs_middleware.logs.formatters.TextFormatter",
    "auto": "obs_middleware.logs.formatters.auto_formatter",
}
_PYTHON_JSON_LOGGER: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
_OF_ECS: Final = {"service": "service.name", "version": "service.version", "environment": "service.environment"}
_FILTERS: Final = "obs_middleware.logs.filters"
_NONBLOCKING: Final = "obs_middleware.logs.handlers.NonBlockingHandler"
_STANDARD: Final = "obs_middleware.logs.sinks.standard"
_FOLDED: Final = (
    "django.server",  # runserver
    "django.channels.server",  # runserver of daphne and Channels
    "werkzeug",  # runserver_plus
)
_SILENCED: Final = (
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
    stream: StreamName | None = None,
    file: str | PathLike[str] | None = None,
    nonblocking: bool = False,
    quiet_servers: bool = True,
    quiet_tests: bool = True,
    loggers: Mapping[str, str | int | Mapping[str, Any]] | None = None,
    processors: Iterable[Processor | str] = (),
    max_bytes: int | None = None,
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
        format: ``json`` for shippers; ``console`` for people, one short row for each request, with colours; ``auto``:
            ``console`` if the output is a terminal, otherwise ``json``; ``logfmt``; or ``text``: timestamp, level,
            logger and message.
        level: The lowest level that is written, in any letter case, or a number. Above ``INFO`` you get no line for a
            request that succeeded.
        service: Name of the service, on every line.
        version: Its version, on every line.
        environment: The deployment, for example ``production``, on every line.
        stream: ``stdout`` or ``stderr``. None means stderr in a management command, whose
            own output stays clean, and stdout in ``runserver``, in workers and everywhere else.
        file: Path of a file to append to. It is opened again after log rotation has renamed or removed it.
        nonblocking: Write from a separate thread, so that no request waits for a slow reader; see
            `obs_middleware.logs.handlers.NonBlockingHandler` for the cost.
        quiet_servers: Silence the access logs of uvicorn, gunicorn and granian, which would be a second line for each
            request. hypercorn configures its own later: do not pass ``--access-logfile``. Of the access lines of
            ``runserver`` and ``runserver_plus``, you get those of requests that have no line, such as static files.
        quiet_tests: Leave the request lines out of the output of ``manage.py test`` and pytest. A *file* and
            `obs_middleware.testing.capture_requests` still get them.
        loggers: More entries for ``loggers``: name -> level, or the whole entry.
        processors: Your own structlog processors, as functions or dotted paths. Each is called once per line.
        max_bytes: The limit of a line in bytes, 2,048 or more. None: 16,000, or 4,096 for a pipe.
        formatter: A formatter of another package instead of *format* and *schema*: ``python-json-logger``,
            ``ecs-logging``, or the dotted path of a class. The fields are attributes of the records that it gets.

    Raises:
        ValueError: The value of an option is wrong, or options exclude each other.
    """
    _check("schema", schema, SchemaName)
    _check("format", format, Format)
    _check("stream", stream, (*get_args(StreamName), None))
    for name, switch in (("nonblocking", nonblocking), ("quiet_servers", quiet_servers), ("quiet_tests", quiet_tests)):
        _check(name, switch, (True, False))
    _check_type("file", file, (str, PathLike, NoneType), 'a path, such as "shop.log"')
    _check_type("formatter", formatter, (str, NoneType), 'the path of a class, such as "shop.logs.MyFormatter"')
    _check_type("loggers", loggers, (Mapping, NoneType), 'a dict of levels, such as {"httpx": "WARNING"}')
    level = _level_named(level, f"level={level!r}")
    own = _own_options(processors, max_bytes)
    _check_together(format, schema, stream, file, own, formatter)
    target: OutputName = stream or "auto"
    constants = {"service": service, "version": version, "environment": environment}
    filters = ["fold_django_requests"]
    if formatter is None:
        form = {**_own_formatter(format, schema, target, file, constants), **own}
    else:
        form = _foreign_formatter(formatter, constants)
        filters.insert(0, "request_context")
    if quiet_tests and file is None:
        filters.insert(0, "quiet_in_tests")
    output = _handler(target, file, nonblocking=nonblocking)
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"obs": form},
        "filters": {
            "request_context": {"()": f"{_FILTERS}.RequestContextFilter"},
            "fold_django_requests": {"()": f"{_FILTERS}.FoldDjangoRequests"},
            "fold_access_lines": {"()": f"{_FILTERS}.FoldAccessLines"},
            "quiet_in_tests": {"()": f"{_FILTERS}.QuietInTests"},
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
            **(_servers(level) if quiet_servers else {}),
        },
    }
    for name, entry in (loggers or {}).items():
        # With only a level, Django's logger still mails the administrators, and an access log is written again: here,
        # because dictConfig removes the handlers that its server gave it, but does not let it propagate again.
        before = {"propagate": True} if name in (*_SILENCED, *_FOLDED) else config["loggers"].get(name, {})
        given = dict(entry) if isinstance(entry, Mapping) else {**before, "level": entry}
        if "level" in given:
            given["level"] = _level_named(given["level"], f"loggers={{{name!r}: {entry!r}}}")
        config["loggers"][name] = given
    return config


def _own_formatter(
    format_: Format,
    schema: SchemaName,
    stream: OutputName,
    file: str | PathLike[str] | None,
    constants: Mapping[str, str | None],
) -> dict[str, Any]:
    if format_ == "auto" and file is not None:
        format_ = "json"
    form: dict[str, Any] = {"()": _FORMATTERS[format_], **constants}
    if format_ in {"json", "auto"}:
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


def _handler(stream: OutputName, file: str | PathLike[str] | None, *, nonblocking: bool) -> dict[str, Any]:
    if nonblocking:
        target = {"stream": stream} if file is None else {"file": fspath(file)}
        return {"class": _NONBLOCKING, **target, "flush_on_sigterm": True}
    if file is None:
        place = f"{_STANDARD}.STREAM" if stream == "auto" else f"sys.{stream}"
        return {"class": "obs_middleware.logs.handlers.LineStreamHandler", "stream": f"ext://{place}"}
    return {"class": "obs_middleware.logs.handlers.LineFileHandler", "filename": fspath(file)}


def _servers(level: str | int) -> dict[str, Any]:
    """Return the entries that leave out the access lines of servers, because each would be a second line."""
    # NullHandler, not an empty list: without any handler Python prints warnings to stderr (logging.lastResort).
    silent = {"handlers": ["null"], "level": "CRITICAL", "propagate": False}
    folded = {"handlers": [], "level": level, "propagate": True, "filters": ["fold_access_lines"]}
    return {
        **{name: dict(silent) for name in _SILENCED},
        **{name: dict(folded) for name in _FOLDED},
        # The sync worker warns about every HEAD request, because Django leaves dropping the body to the server.
        "gunicorn.http.wsgi": {"level": "ERROR"},
    }


def structlog_config() -> dict[str, Any]:
    """
    Return keyword arguments for ``structlog.configure``: structlog loggers write through the handlers of `LOGGING`.

    Loggers of structlog and of the standard library then give the same lines, with the request's context. The one
    processor does only what must happen at the call; the formatter does the rest. Put your own processors before it.
    """
    import structlog  # noqa: PLC0415 -- a tenth of a second, which the console script need not spend on every start

    from obs_middleware.logs.line.structlog_call import hand_over  # noqa: PLC0415 -- it imports structlog

    return {
        "processors": [hand_over],
        "logger_factory": structlog.stdlib.LoggerFactory(),
        "wrapper_class": structlog.stdlib.BoundLogger,
        "cache_logger_on_first_use": True,
    }


def _check(name: str, value: object, choices: Any) -> None:
    """Raise ValueError if *value* is not one of *choices*, a `Literal` or a tuple."""
    known = choices if isinstance(choices, tuple) else get_args(choices)
    if value not in known:
        raise ValueError(f"logging_config({name}={value!r}): expected one of {', '.join(map(str, known))}.")


def _check_type(name: str, value: object, types: tuple[type, ...], expected: str) -> None:
    """Raise ValueError if *value* has none of the *types*."""
    if not isinstance(value, types):
        raise ValueError(f"logging_config({name}={value!r}): expected {expected}.")  # noqa: TRY004 -- as for any wrong value


def _level_named(level: object, given: str) -> str | int:
    """Return *level* as `logging.config.dictConfig` takes it. *given* is the option, for the message of the error."""
    if isinstance(level, int) and not isinstance(level, bool):
        return level
    known = logging.getLevelNamesMapping()
    for name in (level, str(level).upper()):
        if isinstance(name, str) and name in known:
            return name
    raise ValueError(
        f"logging_config({given}): expected debug, info, warning, error or critical, a number, or a name that you gave "
        "to logging.addLevelName() before."
    )


def _own_options(processors: Any, max_bytes: Any) -> dict[str, Any]:
    """Return the arguments for a formatter of this package that the caller chose."""
    own: dict[str, Any] = {}
    chain = list(processors) if isinstance(processors, Iterable) else None
    if chain is None or not all(callable(one) or (isinstance(one, str) and "." in one) for one in chain):
        raise ValueError(
            f"logging_config(processors={processors!r}): expected a list of functions or their dotted paths, such as "
            '["shop.logs.add_region"].'
        )
    if chain:
        own["processors"] = chain
    if max_bytes is not None:
        if not isinstance(max_bytes, int) or max_bytes < LEAST_BYTES:
            raise ValueError(f"logging_config(max_bytes={max_bytes!r}): expected a number from {LEAST_BYTES} on.")
        own["max_bytes"] = max_bytes
    return own


def _check_together(  # noqa: PLR0913 -- the options of logging_config()
    format_: Format,
    schema: SchemaName,
    stream: StreamName | None,
    file: object,
    own: Mapping[str, Any],
    formatter: str | None,
) -> None:
    """Raise ValueError for options of which one would have no effect beside another."""
    if formatter is not None:
        chosen = {"schema": schema != "flat", "format": format_ != "json", **dict.fromkeys(own, True)}
        ignored = [f"{name}=" for name, is_chosen in chosen.items() if is_chosen]
        if ignored:
            raise ValueError(
                f"logging_config(formatter={formatter!r}) decides about the form of a line: leave out "
                f"{', '.join(ignored)}."
            )
    if schema != "flat" and format_ not in {"json", "auto"}:
        raise ValueError(
            f"logging_config(schema={schema!r}, format={format_!r}): only JSON has a schema. Leave out schema=, or use "
            'format="json", or format="auto", which is the console on a terminal and otherwise JSON.'
        )
    if "max_bytes" in own and format_ == "console":
        raise ValueError(
            'logging_config(max_bytes=..., format="console"): the console shows lines whole. Leave out max_bytes=.'
        )
    if file is not None and stream is not None:
        raise ValueError(
            f"logging_config(file={file!r}, stream={stream!r}): lines have one output. Leave out one of them; for a "
            "second output, add a handler to the result."
        )
