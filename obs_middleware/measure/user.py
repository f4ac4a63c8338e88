"""
Find the user, if the application has already loaded it: no query, no session access.

Measure. Reads only what Django has already loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from django.db.models import Model
from django.utils.functional import LazyObject, empty

from obs_middleware.conf import resolve
from obs_middleware.failures import report_once

__all__ = ["user_id", "user_reader"]


def user_reader(setting: bool | str | Callable[..., Any]) -> Callable[[Any], str | None] | None:
    """
    Return the function that reads the user from a request, as the setting ``USER`` says. None: no function.

    Raises:
        ImportError: *setting* is a dotted path and names nothing.
    """
    if setting is False:
        return None
    if setting is True or setting == "pk":
        return user_id
    if isinstance(setting, str) and "." not in setting:
        return partial(user_id, choose=partial(_text_of, partial(_field, setting)))
    return partial(user_id, choose=partial(_text_of, resolve(setting)))


def user_id(request: Any, choose: Callable[[Any], str | None] | None = None) -> str | None:
    """
    Return the primary key of the user as text, if the application has already asked for the user. Otherwise None.

    These places are searched, in this order: a real user on ``request.user``, the user that ``request.user`` or
    ``request.auser()`` fetched, the id in a session that was read. It never runs a query, accesses the session, or
    returns an authentication token.

    Args:
        request: The request. It may be any object.
        choose: Returns the text to use instead of the primary key. It is not called for an anonymous user. The session
            is not searched, because it has only the key.
    """
    known = getattr(request, "__dict__", {})
    was_asked = False
    for name in _PLACES_OF_USER:
        if name in known:
            user = known[name]
            # The type first: reading any attribute of a lazy object evaluates it, which is a query.
            if issubclass(type(user), LazyObject):
                user = user.__dict__.get("_wrapped", empty)
                if user is empty:
                    continue
            found = _primary_key(user)
            if found is not None:
                return found if choose is None else choose(user)
            was_asked = True
    # An anonymous user may have an id in the session: that of a user who may no longer log in.
    if was_asked or choose is not None or "session" not in known:
        return None
    loaded = getattr(known["session"], "__dict__", {}).get("_session_cache")
    key = loaded.get("_auth_user_id") if isinstance(loaded, dict) else None
    return key if isinstance(key, str) and key else None


_PLACES_OF_USER: Final = ("user", "_cached_user", "_acached_user")


def _primary_key(user: Any) -> str | None:
    if isinstance(user, Model):
        # From __dict__: reading a deferred key would be a query.
        key = user.__dict__.get(user._meta.pk.attname)  # noqa: SLF001 -- Django's own public name
    else:
        own = getattr(user, "__dict__", {})
        key = own.get("pk", own.get("id"))
    return str(key) if key.__class__ in _KEY_TYPES or type(key).__name__ == "UUID" else None


_KEY_TYPES: Final = frozenset({int, str})


def _text_of(function: Callable[[Any], Any], user: Any) -> str | None:
    """Return the result of *function* as text, or None if it is None or empty, or if *function* raises."""
    try:
        value = function(user)
        return None if value is None or value == "" else str(value)
    except BaseException as error:  # noqa: BLE001 -- the function is the application's, and may raise anything
        report_once('OBS_MIDDLEWARE["USER"]', error)
        return None


def _field(name: str, user: Any) -> Any:
    """
    Return the field *name* of *user*, or None if it is deferred.

    Raises:
        AttributeError: There is no such field.
    """
    own = user.__dict__
    if name in own:
        return own[name]
    if isinstance(user, Model) and name in user.get_deferred_fields():
        return None  # reading it would be a query
    raise AttributeError(f"{type(user).__qualname__} has no field {name!r}")
