"""
Every key of ``OBS_MIDDLEWARE``: its type, its default, the values that it accepts, and what it does.

To add a key, add an attribute here and a section in ``docs/reference/settings.md``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from obs_middleware.conf.values import (
    BOOLEAN,
    HEADER_NAME,
    PATTERNS,
    SECONDS,
    SHARE,
    Expected,
    Mistake,
    callable_with,
    is_count,
    is_header_name,
    is_host,
    is_texts,
    or_none,
    some_of,
    text,
    texts,
)
from obs_middleware.measure.client import networks
from obs_middleware.measure.headers import OPTIONAL_FIELDS
from obs_middleware.redaction import DEFAULT_NAMES

__all__ = ["Settings"]

Value = TypeVar("Value")


def _setting(default: Value, expected: Expected) -> Value:
    """Return the field of a setting. The result is a `Value` only for type checkers, as that of `field` is."""
    return field(default=default, metadata={"expected": expected})


def _are_networks(value: Any) -> Mistake:
    if not isinstance(value, int):
        try:
            networks(value)
        except ValueError as error:
            return "value", str(error)
    return None


_PROXIES = Expected(
    lambda value: is_texts(value) or is_count(value),
    'the number of your proxies, or their networks, such as ["10.0.0.0/8"]',
    _are_networks,
)
_HEADERS = Expected(
    lambda value: is_texts(value) and all(is_header_name(one) for one in value),
    'a list of names of request headers, such as ["X-Tenant"]',
)
_COMMANDS = Expected(
    lambda value: isinstance(value, bool) or is_texts(value),
    'True, False, or a list of names of management commands, such as ["import_orders"]',
)
_HOSTS = Expected(
    lambda value: value is None or (is_texts(value) and all(is_host(one) for one in value)),
    'a list of host names without scheme, port and path, such as ["api.internal", ".example.com"], or None',
)
_REPEATS = Expected(lambda value: is_count(value) and value >= 2, "a whole number from 2")
_QUEUE_HEADER = Expected(
    is_header_name,
    'the name of an HTTP header, such as "X-Request-Start"',
    lambda value: ("value", "X-Amzn-Trace-Id has only whole seconds") if value.lower() == "x-amzn-trace-id" else None,
)
_METRICS = Expected(
    lambda value: (
        isinstance(value, bool) or (isinstance(value, (str, os.PathLike)) and Path(os.fsdecode(value)).is_absolute())
    ),
    "True, False, or the absolute path of a directory",
)
_SERVER_TIMING = Expected(lambda value: isinstance(value, bool) or value == "debug", 'True, False or "debug"')
_USER_FUNCTION = callable_with("user", instead=(True, False))
_USER = Expected(
    lambda value: (isinstance(value, str) and value.isidentifier()) or _USER_FUNCTION.holds(value),
    'True, False, the name of a field of the user, such as "email", or a callable or its dotted path',
    lambda value: None if isinstance(value, str) and "." not in value else _USER_FUNCTION.content(value),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, checked and immutable. The attributes are the keys of ``OBS_MIDDLEWARE`` in lower case."""

    enabled: bool = _setting(True, BOOLEAN)
    """False removes the middleware from the chain at start, at no cost per request."""

    request_id_header: str = _setting("X-Request-ID", HEADER_NAME)
    """The header that brings the request id in and takes it out."""

    trust_request_id: bool = _setting(True, BOOLEAN)
    """Use the id that the client sent, if it is well formed. False: always make a new one."""

    request_id: str | Callable[..., Any] | None = _setting(None, callable_with("request", may_be_alone=True))
    """A callable ``(request)`` or ``()`` that makes the id of a request. None: 32 random hex digits."""

    response_header: bool = _setting(True, BOOLEAN)
    """Send the id back on every response."""

    expose_header: bool = _setting(False, BOOLEAN)
    """Let scripts of other origins read the headers of this package, by ``Access-Control-Expose-Headers``."""

    trace_response: bool = _setting(False, BOOLEAN)
    """Send trace and span of the request back, in the header ``traceresponse``."""

    trusted_proxies: int | Sequence[str] = _setting(0, _PROXIES)
    """The number of your proxies, or their networks as CIDRs. 0 trusts only the peer."""

    exclude: Sequence[str] = _setting((), PATTERNS)
    """Regular expressions for paths. Their requests are written only if they fail or are slow."""

    quiet: Sequence[str] = _setting((), PATTERNS)
    """Regular expressions for paths. One request per *quiet_seconds* is written, and all that fail or are slow."""

    quiet_seconds: float = _setting(300, SECONDS)
    """How long a quiet path stays silent after a line."""

    sample_rate: float = _setting(1.0, SHARE)
    """The share of ordinary requests that is written, from 0 to 1."""

    sample_secret: str | None = _setting(None, or_none(text("a text")))
    """Decides, with the request id, which requests are sampled. None: ``SECRET_KEY``."""

    slow_seconds: float | None = _setting(None, or_none(SECONDS))
    """A request that takes this long is slow. None: no request is."""

    level: str | Callable[..., Any] | None = _setting(
        None, callable_with("status", "duration_seconds", "outcome", instead=(None, "info", "status"))
    )
    """None (ERROR for a failure, else INFO), "info", "status", or a callable ``(status, seconds, outcome)``."""

    logger: str | None = _setting(None, or_none(text("the name of a logger")))
    """Name of the logger that gets the request line. None: the root logger."""

    database: bool = _setting(True, BOOLEAN)
    """Count and time database queries. Needs the app in ``INSTALLED_APPS``."""

    repeated_queries: int | None = _setting(10, or_none(_REPEATS))
    """How often a request runs the same statement before its place is noted. None: statements are not counted."""

    queue_header: str | None = _setting(None, or_none(_QUEUE_HEADER))
    """The header in which your proxy says when it got the request. None: the time before is not known."""

    user: bool | str | Callable[..., Any] = _setting(True, _USER)
    """
    Add the user to the line if it is known: the primary key (True or "pk"), another field of the user by its name, or
    the result of a callable ``(user)``.
    """

    client_ip: bool = _setting(True, BOOLEAN)
    """Add the address of the client to the line."""

    fields: Sequence[str] = _setting((), some_of(OPTIONAL_FIELDS))
    """Names of optional fields to log."""

    headers: Sequence[str] = _setting((), _HEADERS)
    """Names of request headers to log."""

    redact: Sequence[str] = _setting(DEFAULT_NAMES, texts('a list of names, such as [*DEFAULT_NAMES, "nickname"]'))
    """Names whose values are hidden in query strings, headers and the application's fields."""

    enrich: str | Callable[..., Any] | None = _setting(None, callable_with("request", "response"))
    """A callable ``(request, response) -> mapping`` of further fields."""

    server_timing: bool | str = _setting(False, _SERVER_TIMING)
    """Send the response header ``Server-Timing``. "debug": only with ``DEBUG``."""

    blocked_seconds: float | None = _setting(0.1, or_none(SECONDS))
    """Warn if a request or other code holds the event loop for this long, and note it on its line. None: never."""

    watchdog_seconds: float | None = _setting(None, or_none(SECONDS))
    """Warn once about a request that has run this long. None: never."""

    threads: bool = _setting(False, BOOLEAN)
    """Carry the request into the threads that it starts, and into pools of threads."""

    commands: bool | Sequence[str] = _setting(False, _COMMANDS)
    """Write a line for each management command, or only for these. Needs the app in ``INSTALLED_APPS``."""

    outgoing: Sequence[str] | None = _setting(None, _HOSTS)
    """Hosts that get the id and the trace with outgoing HTTP calls. None: no call is touched or measured."""

    metrics: bool | str | os.PathLike[str] = _setting(False, _METRICS)
    """
    Count requests and tasks in histograms, which `obs_middleware.metrics` shows to Prometheus. True: together with the
    other processes of the same server. A directory: together with all processes that have the same.
    """
