"""
System checks: report mistakes in the configuration, each with a hint how to fix it.

An id never gets a second meaning.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 -- Django's name
from django.utils.module_loading import import_string

from obs_middleware.conf import django_setting, find_problems, raw_settings
from obs_middleware.logs.filters import RequestContextFilter
from obs_middleware.logs.formatters import ChainFormatter
from obs_middleware.logs.processors import add_request_context
from obs_middleware.middleware import TimingMiddleware

__all__ = [
    "CHECKS",
    "check_bridges",
    "check_formatters",
    "check_logging",
    "check_middleware",
    "check_proxies",
    "check_settings",
]

CHECKS: Final = {
    "obs_middleware.E001": "`OBS_MIDDLEWARE` is not a dict.",
    "obs_middleware.E002": "`OBS_MIDDLEWARE` has a key that is not a setting.",
    "obs_middleware.E003": "A value in `OBS_MIDDLEWARE` has the wrong type or is out of range.",
    "obs_middleware.E004": "A regular expression in `OBS_MIDDLEWARE` does not compile.",
    "obs_middleware.E005": "A callable in `OBS_MIDDLEWARE` cannot be imported, or cannot be called with its arguments.",
    "obs_middleware.W001": "`TimingMiddleware` is not in `MIDDLEWARE`.",
    "obs_middleware.W002": "`TimingMiddleware` is not the first in `MIDDLEWARE`.",
    "obs_middleware.W003": "`TimingMiddleware` is in `MIDDLEWARE` more than once.",
    "obs_middleware.W004": "The logger of the request line does not let `INFO` through: only failures have a line.",
    "obs_middleware.W005": "The logger of the request line has no handler, so no line is written.",
    "obs_middleware.W006": "`TRUSTED_PROXIES` is 0, but other settings imply a proxy.",
    "obs_middleware.W007": "No handler formats its lines with this package.",
    "obs_middleware.W008": "A sync-only middleware costs thread changes under ASGI.",
}
"""Every check: its id, and the mistake that it finds."""

_IDS: Final = {
    "mapping": "obs_middleware.E001",
    "unknown": "obs_middleware.E002",
    "value": "obs_middleware.E003",
    "regex": "obs_middleware.E004",
    "callable": "obs_middleware.E005",
}

_INSERT_THEMSELVES: Final = ("opentelemetry.", "scout_apm.")
"""Packages whose middleware puts itself first when the process starts, so that nothing can be placed above it."""

W001: Final = Warning(
    "TimingMiddleware is not in MIDDLEWARE: no request line is written.",
    hint='Put "obs_middleware.middleware.TimingMiddleware" first in MIDDLEWARE.',
    id="obs_middleware.W001",
)
W002: Final = Warning(
    "TimingMiddleware is not the first in MIDDLEWARE.",
    hint="Move it to the top: layers above it are not measured, and their errors are not on the request line.",
    id="obs_middleware.W002",
)
W003: Final = Warning(
    "TimingMiddleware is in MIDDLEWARE more than once.",
    hint="Leave only the first: the others do nothing.",
    id="obs_middleware.W003",
)
W004: Final = Warning(
    "The logger of the request line does not let INFO through: only failures have a line.",
    hint='Set LOGGING = logging_config(), or set the level of this logger to "INFO". It is the root logger unless '
    'OBS_MIDDLEWARE["LOGGER"] names another.',
    id="obs_middleware.W004",
)
W005: Final = Warning(
    "The logger of the request line has no handler: no request line is written as configured.",
    hint="Set LOGGING = logging_config(), or give this logger a handler. It is the root logger unless "
    'OBS_MIDDLEWARE["LOGGER"] names another.',
    id="obs_middleware.W005",
)
W006: Final = Warning(
    "TRUSTED_PROXIES is 0, but SECURE_PROXY_SSL_HEADER or USE_X_FORWARDED_HOST implies a proxy: "
    "client_ip is the address of the proxy.",
    hint='Set OBS_MIDDLEWARE["TRUSTED_PROXIES"] to the number of your proxies, or to their networks.',
    id="obs_middleware.W006",
)
W007: Final = Warning(
    "No handler formats its lines with this package: they do not have the fields of the request.",
    hint="Set LOGGING = logging_config(), or add the filter RequestContextFilter to the handler of your formatter.",
    id="obs_middleware.W007",
)
W008: Final = Warning(
    "A middleware is not async.",
    hint="Use a middleware that has async_capable = True, or remove it; under WSGI it costs nothing.",
    id="obs_middleware.W008",
)


def check_settings(**_: Any) -> list[CheckMessage]:
    """Check the setting ``OBS_MIDDLEWARE``."""
    return [Error(message, hint=hint, id=_IDS[kind]) for kind, message, hint in find_problems(raw_settings())]


def check_middleware(**_: Any) -> list[CheckMessage]:
    """Check the place of `TimingMiddleware` in ``MIDDLEWARE``."""
    paths = django_setting("MIDDLEWARE", [])
    places = list(_places(paths))
    if not places:
        return [W001]
    is_late = not all(str(path).startswith(_INSERT_THEMSELVES) for path in paths[: places[0]])
    return [message for message, applies in ((W002, is_late), (W003, len(places) > 1)) if applies]


def _places(paths: Sequence[str]) -> Iterator[int]:
    for place, path in enumerate(paths):
        middleware = _imported(path)
        if isinstance(middleware, type) and issubclass(middleware, TimingMiddleware):
            yield place


def _imported(path: str) -> Any:
    """Return the middleware, or None if it cannot be imported: Django reports that itself."""
    try:
        return import_string(path)
    except ImportError:
        return None


def check_proxies(**_: Any) -> list[CheckMessage]:
    """Check that the address of a proxy is not used as the client's."""
    raw = raw_settings()
    trusted = raw.get("TRUSTED_PROXIES", 0) if isinstance(raw, dict) else 0
    behind = django_setting("SECURE_PROXY_SSL_HEADER") or django_setting("USE_X_FORWARDED_HOST")
    return [W006] if behind and not trusted else []


def check_logging(**_: Any) -> list[CheckMessage]:
    """Check that the logger lets ordinary request lines through, which are written at INFO, and has a handler."""
    logger = _request_logger()
    if not logger.isEnabledFor(logging.INFO):
        return [W004]
    return [] if logger.hasHandlers() else [W005]


def _request_logger() -> logging.Logger:
    """Return the logger that gets the request line."""
    raw = raw_settings()
    name = raw.get("LOGGER") if isinstance(raw, dict) else None
    return logging.getLogger(name if isinstance(name, str) else None)


def _handlers_of(logger: logging.Logger | None) -> Iterator[logging.Handler]:
    """Yield the handlers that get the records of *logger*, as the logging module finds them."""
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None


def check_formatters(**_: Any) -> list[CheckMessage]:
    """Check that some handler of the request line prints the fields of the request."""
    handlers = tuple(_handlers_of(_request_logger()))
    ours = any(
        isinstance(handler.formatter, ChainFormatter)
        or any(isinstance(one, RequestContextFilter) for one in handler.filters)
        or _has_processor(handler.formatter)
        for handler in handlers
    )
    return [W007] if handlers and not ours else []


def _has_processor(formatter: Any) -> bool:
    """Return whether a structlog formatter has our processor in its chain."""
    chains = (getattr(formatter, name, None) or () for name in ("foreign_pre_chain", "processors"))
    return any(add_request_context in tuple(chain) for chain in chains)


def check_bridges(**_: Any) -> list[CheckMessage]:
    """Check for middleware that Django must run in a thread under ASGI."""
    if not django_setting("ASGI_APPLICATION"):
        return []
    return [
        Warning(
            f"{path} is not async: under ASGI it costs a thread change in every request.",
            hint=W008.hint,
            id=W008.id,
        )
        for path in django_setting("MIDDLEWARE", [])
        if (middleware := _imported(path)) is not None and not getattr(middleware, "async_capable", False)
    ]
