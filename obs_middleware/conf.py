"""
The setting ``OBS_MIDDLEWARE`` as one frozen `Settings`.

Only this module reads ``django.conf.settings``. Without them, or without ``OBS_MIDDLEWARE``, the defaults apply.
"""

from __future__ import annotations

import difflib
import inspect
import math
import re
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple, Protocol

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from obs_middleware.measure.client import networks
from obs_middleware.measure.headers import OPTIONAL_FIELDS
from obs_middleware.redaction import DEFAULT_NAMES

__all__ = [
    "EXPECTED",
    "SETTING",
    "Configurable",
    "Expected",
    "Problem",
    "Settings",
    "django_setting",
    "find_problems",
    "get_settings",
    "keep_configured",
    "raw_settings",
    "resolve",
]

SETTING: Final = "OBS_MIDDLEWARE"


@dataclass(frozen=True, slots=True)
class Settings:
    """
    All settings, checked and immutable. The attributes are the keys of ``OBS_MIDDLEWARE`` in lower case.

    Attributes:
        enabled: False removes the middleware from the chain at start, at no cost per request.
        request_id_header: The header that brings the request id in and takes it out.
        trust_request_id: Use the id that the client sent, if it is well formed. False: always make a new one.
        response_header: Send the id back on every response.
        trusted_proxies: The number of your proxies, or their networks as CIDRs. 0 trusts only the peer.
        exclude: Regular expressions for paths. Their requests are written only if they fail or are slow.
        quiet: Regular expressions for paths. One request per *quiet_seconds* is written, and all that fail or are slow.
        quiet_seconds: How long a quiet path stays silent after a line.
        sample_rate: The share of ordinary requests that is written, from 0 to 1.
        sample_secret: Decides, with the request id, which requests are sampled. None: ``SECRET_KEY``.
        slow_seconds: A request that takes this long is slow. None: no request is.
        level: None (ERROR for a failure, else INFO), "info", "status", or a callable ``(status, seconds, outcome)``.
        logger: Name of the logger that gets the request line. None: the root logger.
        database: Count and time database queries. Needs the app in ``INSTALLED_APPS``.
        user: Add the user's id to the line if it is known.
        fields: Names of optional fields to log.
        headers: Names of request headers to log.
        redact: Names whose values are hidden in query strings, headers and the application's fields.
        enrich: A callable ``(request, response) -> mapping`` of further fields.
        server_timing: Send the response header ``Server-Timing``. "debug": only with ``DEBUG``.
        watchdog_seconds: Warn once about a request that has run this long. None: never.
    """

    enabled: bool = True
    request_id_header: str = "X-Request-ID"
    trust_request_id: bool = True
    response_header: bool = True
    trusted_proxies: int | Sequence[str] = 0
    exclude: Sequence[str] = ()
    quiet: Sequence[str] = ()
    quiet_seconds: float = 300
    sample_rate: float = 1.0
    sample_secret: str | None = None
    slow_seconds: float | None = None
    level: str | Callable[..., Any] | None = None
    logger: str | None = None
    database: bool = True
    user: bool = True
    fields: Sequence[str] = ()
    headers: Sequence[str] = ()
    redact: Sequence[str] = DEFAULT_NAMES
    enrich: str | Callable[..., Any] | None = None
    server_timing: bool | str = False
    watchdog_seconds: float | None = None


class Problem(NamedTuple):
    """
    A mistake in the setting.

    Attributes:
        kind: The sort of mistake: ``mapping``, ``unknown``, ``value``, ``regex`` or ``callable``.
        message: The key, the value, and what was expected.
        hint: How to fix it.
    """

    kind: str
    message: str
    hint: str


class Configurable(Protocol):
    """An object that gets the new settings if they change while the process runs, as in tests."""

    def configure(self, settings: Settings) -> None:
        """Take over *settings*."""


class Expected(NamedTuple):
    """
    The values that a key accepts.

    Attributes:
        holds: Whether a value is of the right form.
        form: The form in words, to follow "expected".
        content: Finds a mistake inside a value of the right form. Returns its kind and text, or None.
    """

    holds: Callable[[Any], bool]
    form: str
    content: Callable[[Any], tuple[str, str] | None] = lambda _: None


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_header_name(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^`|~-]+", value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_seconds_or_none(value: Any) -> bool:
    return value is None or (_is_number(value) and value > 0)


def _is_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(one, str) for one in value)


def _is_path_or_callable(value: Any) -> bool:
    return callable(value) or (isinstance(value, str) and "." in value)


def _compile(patterns: Any) -> tuple[str, str] | None:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            return "regex", f"the regular expression {pattern!r} does not compile: {error}"
    return None


NAMED_LEVELS: Final = ("info", "status")


def _import(*arguments: str) -> Callable[[Any], tuple[str, str] | None]:
    """Return a check that a callable, or that of a dotted path, accepts *arguments*."""

    def content(value: Any) -> tuple[str, str] | None:
        if value is None or value in NAMED_LEVELS:
            return None
        try:
            found = resolve(value)
        except ImportError as error:
            return "callable", f"it cannot be imported: {error}"
        try:
            inspect.signature(found).bind(*arguments)
        except TypeError:
            return "callable", f"it cannot be called with ({', '.join(arguments)})"
        except ValueError:  # a builtin without a signature
            return None
        return None

    return content


def _are_networks(value: Any) -> tuple[str, str] | None:
    if not isinstance(value, int):
        try:
            networks(value)
        except ValueError as error:
            return "value", str(error)
    return None


_PATTERNS: Final = 'a list of regular expressions, such as [r"^/healthz$"]'

EXPECTED: Final[Mapping[str, Expected]] = {
    "ENABLED": Expected(_is_bool, "True or False"),
    "REQUEST_ID_HEADER": Expected(_is_header_name, 'the name of an HTTP header, such as "X-Request-ID"'),
    "TRUST_REQUEST_ID": Expected(_is_bool, "True or False"),
    "RESPONSE_HEADER": Expected(_is_bool, "True or False"),
    "TRUSTED_PROXIES": Expected(
        lambda value: _is_texts(value) or (_is_number(value) and isinstance(value, int) and value >= 0),
        'the number of your proxies, or their networks, such as ["10.0.0.0/8"]',
        _are_networks,
    ),
    "EXCLUDE": Expected(_is_texts, _PATTERNS, _compile),
    "QUIET": Expected(_is_texts, _PATTERNS, _compile),
    "QUIET_SECONDS": Expected(
        lambda value: value is not None and _is_seconds_or_none(value), "a number of seconds above 0"
    ),
    "SAMPLE_RATE": Expected(
        lambda value: _is_number(value) and 0 <= value <= 1, "a number from 0 to 1 (0.2 keeps one request in five)"
    ),
    "SAMPLE_SECRET": Expected(lambda value: value is None or isinstance(value, str), "a text, or None"),
    "SLOW_SECONDS": Expected(_is_seconds_or_none, "a number of seconds above 0, or None"),
    "LEVEL": Expected(
        lambda value: value is None or value in NAMED_LEVELS or _is_path_or_callable(value),
        'None, "info", "status", or a callable or its dotted path',
        _import("status", "duration_seconds", "outcome"),
    ),
    "LOGGER": Expected(lambda value: value is None or isinstance(value, str), "the name of a logger, or None"),
    "DATABASE": Expected(_is_bool, "True or False"),
    "USER": Expected(_is_bool, "True or False"),
    "FIELDS": Expected(
        lambda value: _is_texts(value) and set(value) <= set(OPTIONAL_FIELDS),
        f"a list of some of {', '.join(OPTIONAL_FIELDS)}",
    ),
    "HEADERS": Expected(
        lambda value: _is_texts(value) and all(_is_header_name(one) for one in value),
        'a list of names of request headers, such as ["X-Tenant"]',
    ),
    "REDACT": Expected(_is_texts, 'a list of names, such as [*DEFAULT_NAMES, "nickname"]'),
    "ENRICH": Expected(
        lambda value: value is None or _is_path_or_callable(value),
        "None, or a callable or its dotted path",
        _import("request", "response"),
    ),
    "SERVER_TIMING": Expected(lambda value: _is_bool(value) or value == "debug", 'True, False or "debug"'),
    "WATCHDOG_SECONDS": Expected(_is_seconds_or_none, "a number of seconds above 0, or None"),
}
"""Every key of the setting, with the values that it accepts."""


def resolve(path_or_callable: Any) -> Any:
    """
    Return the callable that a dotted path names, or the callable itself.

    Raises:
        ImportError: The path names nothing.
    """
    return import_string(path_or_callable) if isinstance(path_or_callable, str) else path_or_callable


def find_problems(raw: object) -> Iterator[Problem]:
    """
    Yield the mistakes in *raw*, the value of the setting.

    Each mistake is one problem: the content of a value is checked only if its form is right.
    """
    if not isinstance(raw, Mapping):
        yield Problem(
            "mapping",
            f"{SETTING} is a {type(raw).__name__}; expected a dict.",
            f"Write {SETTING} = {{}}, or leave it out: every key has a default.",
        )
        return
    for key, value in raw.items():
        if key not in EXPECTED:
            near = difflib.get_close_matches(str(key).upper(), EXPECTED, n=1)
            yield Problem(
                "unknown",
                f"{SETTING}[{key!r}] is not a setting.",
                f"Did you mean {near[0]!r}?" if near else f"The settings are {', '.join(EXPECTED)}.",
            )
            continue
        expected = EXPECTED[key]
        default = f"or leave the key out for its default, {getattr(Settings(), key.lower())!r}."
        if not expected.holds(value):
            message = f"{SETTING}[{key!r}] is {value!r}; expected {expected.form}."
            yield Problem("value", message, f"Correct the value, {default}")
        elif (wrong := expected.content(value)) is not None:
            kind, text = wrong
            yield Problem(kind, f"{SETTING}[{key!r}] is {value!r}: {text}.", f"Expected {expected.form}; {default}")


def raw_settings() -> object:
    """Return the setting as the project wrote it, or an empty dict if it is missing or there are no settings."""
    return django_setting(SETTING, {})


def django_setting(name: str, default: Any = None) -> Any:
    """Return one of Django's settings. Return *default* if it is missing, or if there are no settings."""
    try:
        return getattr(django_settings, name, default)
    except ImproperlyConfigured:
        return default


def get_settings() -> Settings:
    """
    Read and check the settings.

    Do not call this in a request. `keep_configured` calls it when an object is created, and when the settings change.

    Raises:
        ImproperlyConfigured: The setting has a mistake. The text is that of the system check.
    """
    raw: Any = raw_settings()
    for problem in find_problems(raw):
        raise ImproperlyConfigured(f"{problem.message} {problem.hint}")
    return Settings(**{field.name: raw[field.name.upper()] for field in fields(Settings) if field.name.upper() in raw})


_configured: Final[weakref.WeakSet[Configurable]] = weakref.WeakSet()


def keep_configured(this: Configurable, *, lenient: bool = False) -> None:
    """
    Give *this* the settings now, and whenever they change, as long as it lives.

    Args:
        this: The object to configure.
        lenient: Use the defaults if the setting has a mistake, for objects made before the system checks run.

    Raises:
        ImproperlyConfigured: The setting has a mistake.
    """
    try:
        settings = get_settings()
    except ImproperlyConfigured:
        if not lenient:
            raise
        settings = Settings()
    this.configure(settings)
    _configured.add(this)


@receiver(setting_changed, dispatch_uid="obs_middleware.conf")
def _reconfigure(setting: str, **_: Any) -> None:
    if setting == SETTING:
        settings = get_settings()
        for this in tuple(_configured):
            this.configure(settings)
