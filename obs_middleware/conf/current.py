"""
Read the setting ``OBS_MIDDLEWARE``, find mistakes in it, and tell objects when it changes.

Only this module reads ``django.conf.settings``. Without them, or without ``OBS_MIDDLEWARE``, the defaults apply.
"""

from __future__ import annotations

import difflib
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final, NamedTuple, Protocol

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

from obs_middleware.conf.settings import Settings
from obs_middleware.conf.values import Expected

__all__ = [
    "EXPECTED",
    "SETTING",
    "Configurable",
    "Problem",
    "django_setting",
    "find_problems",
    "get_settings",
    "keep_configured",
    "near_names",
    "raw_settings",
]

SETTING: Final = "OBS_MIDDLEWARE"


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


EXPECTED: Final[Mapping[str, Expected]] = {field.name.upper(): field.metadata["expected"] for field in fields(Settings)}
"""Every key of the setting, with the values that it accepts."""


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


def near_names() -> list[str]:
    """Return the names of Django's settings that are probably meant to be `SETTING`, or a key of it."""
    names = [name for name in dir(django_settings) if name.isupper() and name != SETTING]
    near = difflib.get_close_matches(SETTING, names, n=len(names), cutoff=0.88)  # at most two mistakes
    return sorted({*near, *(name for name in names if name.startswith(SETTING))})


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
    return Settings(**{key.lower(): value for key, value in raw.items()})


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
