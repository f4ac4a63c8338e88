"""
System checks: report mistakes in the configuration, each with a hint how to fix it.

An id never gets a second meaning.
"""

from __future__ import annotations

import difflib
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 -- Django's name
from django.utils.module_loading import import_string

from obs_middleware.conf import SETTING, django_setting, find_problems, near_names, raw_settings
from obs_middleware.logs.filters import RequestContextFilter
from obs_middleware.logs.formatters import ChainFormatter
from obs_middleware.logs.processors import add_request_context
from obs_middleware.measure.unwritten import mark_as_told, obstacle
from obs_middleware.middleware import TimingMiddleware

__all__ = [
    "CHECKS",
    "check_bridges",
    "check_formatters",
    "check_logging",
    "check_metrics",
    "check_middleware",
    "check_proxies",
    "check_settings",
    "check_user",
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
    "obs_middleware.W009": "A setting has almost the name `OBS_MIDDLEWARE`.",
    "obs_middleware.W010": "`USER` is not a field of your user model.",
    "obs_middleware.W011": "The directory that `METRICS` names cannot be used.",
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
_MAKE_IDS: Final = ("django_guid.", "django_structlog.", "log_request_id.")
"""Packages whose middleware makes an id that ``REQUEST_ID`` can take over, so that it must be above."""

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
W009: Final = Warning(
    "A setting has almost the name OBS_MIDDLEWARE.",
    hint="All settings of this package are keys of one dict: OBS_MIDDLEWARE = {...}.",
    id="obs_middleware.W009",
)
W010: Final = Warning(
    "USER is not a field of your user model: no line has user_id.",
    hint="Name a field of the model that is a column of its table, or give a callable.",
    id="obs_middleware.W010",
)

W011: Final = Warning(
    "The directory that METRICS names cannot be used: requests are not counted.",
    hint="Create it before the server starts, for its user alone (mode 0700), on a disk of this machine.",
    id="obs_middleware.W011",
)


def check_settings(**_: Any) -> list[CheckMessage]:
    """Check the setting ``OBS_MIDDLEWARE``, and look for settings that are meant to be it."""
    return [
        *(Error(message, hint=hint, id=_IDS[kind]) for kind, message, hint in find_problems(raw_settings())),
        *(Warning(f"{name} is not {SETTING}, and is not read.", hint=W009.hint, id=W009.id) for name in near_names()),
    ]


def check_middleware(**_: Any) -> list[CheckMessage]:
    """Check the place of `TimingMiddleware` in ``MIDDLEWARE``."""
    paths = django_setting("MIDDLEWARE", [])
    places = list(_places(paths))
    if not places:
        return [W001]
    raw = raw_settings()
    allowed = (*_INSERT_THEMSELVES, *(_MAKE_IDS if isinstance(raw, dict) and raw.get("REQUEST_ID") else ()))
    is_late = not all(str(path).startswith(allowed) for path in paths[: places[0]])
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


def check_user(**_: Any) -> list[CheckMessage]:
    """Check that the field that ``USER`` names exists."""
    raw = raw_settings()
    name = raw.get("USER") if isinstance(raw, dict) else None
    if not isinstance(name, str) or name == "pk" or not name.isidentifier():
        return []
    try:
        fields = apps.get_model(django_setting("AUTH_USER_MODEL"))._meta.concrete_fields  # noqa: SLF001 -- Django's own public name
    except (LookupError, ValueError):
        return []  # a site without Django's users
    known = [field.attname for field in fields]
    if name in known:
        return []
    near = difflib.get_close_matches(name, known, 1)
    return [
        Warning(
            f"{SETTING}['USER'] is {name!r}, which is not a field of your user model: no line has user_id.",
            hint=f"Did you mean {near[0]!r}?" if near else W010.hint,
            id=W010.id,
        )
    ]


def check_metrics(**_: Any) -> list[CheckMessage]:
    """Check that the directory that ``METRICS`` names exists, and that this user alone can write to it."""
    raw = raw_settings()
    named = raw.get("METRICS") if isinstance(raw, dict) else None
    if not isinstance(named, (str, os.PathLike)):
        return []
    folder = Path(os.fsdecode(named))
    if not folder.is_dir():
        wrong = "does not exist"
    elif not os.access(folder, os.W_OK | os.X_OK):
        wrong = "cannot be written to"
    elif folder.stat().st_mode & stat.S_IWOTH:
        wrong = "can be written to by every user of this machine"
    else:
        return []
    return [Warning(f"{SETTING}['METRICS'] is {str(folder)!r}, which {wrong}.", hint=W011.hint, id=W011.id)]


def check_proxies(**_: Any) -> list[CheckMessage]:
    """Check that the address of a proxy is not used as the client's."""
    raw = raw_settings()
    if not isinstance(raw, dict) or raw.get("TRUSTED_PROXIES") or raw.get("CLIENT_IP") is False:
        return []
    behind = django_setting("SECURE_PROXY_SSL_HEADER") or django_setting("USE_X_FORWARDED_HOST")
    return [W006] if behind else []


def check_logging(**_: Any) -> list[CheckMessage]:
    """Check that the logger lets ordinary request lines through, which are written at INFO, and has a handler."""
    found = obstacle(_request_logger())
    if found is None:
        return []
    mark_as_told()
    return [W004 if found == "level" else W005]


def _request_logger() -> str | None:
    """Return the name of the logger that gets the request line; None for the root logger."""
    raw = raw_settings()
    name = raw.get("LOGGER") if isinstance(raw, dict) else None
    return name if isinstance(name, str) else None


def _handlers_of(logger: logging.Logger | None) -> Iterator[logging.Handler]:
    """Yield the handlers that get the records of *logger*, as the logging module finds them."""
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None


def check_formatters(**_: Any) -> list[CheckMessage]:
    """Check that some handler of the request line prints the fields of the request."""
    handlers = tuple(_handlers_of(logging.getLogger(_request_logger())))
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
    silenced = django_setting("SILENCED_SYSTEM_CHECKS", [])
    return [
        Warning(
            f"{path} is not async: under ASGI it costs a thread change in every request.",
            hint=f'{W008.hint} To silence this message alone, add "{W008.id}:{path}" to SILENCED_SYSTEM_CHECKS.',
            id=W008.id,
        )
        for path in django_setting("MIDDLEWARE", [])
        if f"{W008.id}:{path}" not in silenced
        and (middleware := _imported(path)) is not None
        and not getattr(middleware, "async_capable", False)
    ]
