"""
Find the id of the user, if the application has already loaded it: no query, no session access.

Measure. Reads only what Django has already loaded.
"""

from __future__ import annotations

from typing import Any, Final

from django.db.models import Model
from django.utils.functional import LazyObject, empty

__all__ = ["user_id"]


def user_id(request: Any) -> str | None:
    """
    Return the primary key of the user as text, if the application has already asked for the user. Otherwise None.

    These places are searched, in this order: a real user on ``request.user``, the user that ``request.user`` or
    ``request.auser()`` fetched, the id in a session that was read. It never runs a query, accesses the session, or
    returns an authentication token.
    """
    known = getattr(request, "__dict__", {})
    was_asked = False
    for name in _PLACES_OF_USER:
        if name in known:
            found = _primary_key(known[name])
            if found is not None:
                return found
            was_asked = was_asked or not _is_unevaluated(known[name])
    # An anonymous user may have an id in the session: that of a user who may no longer log in.
    if was_asked or "session" not in known:
        return None
    loaded = getattr(known["session"], "__dict__", {}).get("_session_cache")
    key = loaded.get("_auth_user_id") if isinstance(loaded, dict) else None
    return key if isinstance(key, str) and key else None


_PLACES_OF_USER: Final = ("user", "_cached_user", "_acached_user")


def _is_unevaluated(user: Any) -> bool:
    return issubclass(type(user), LazyObject) and user.__dict__.get("_wrapped", empty) is empty


def _primary_key(user: Any) -> str | None:
    # The type first: reading any attribute of a lazy object evaluates it, which is a query.
    if issubclass(type(user), LazyObject):
        user = user.__dict__.get("_wrapped", empty)
        if user is empty:
            return None
    if isinstance(user, Model):
        # From __dict__: reading a deferred key would be a query.
        key = user.__dict__.get(user._meta.pk.attname)  # noqa: SLF001 -- Django's own public name
    else:
        own = getattr(user, "__dict__", {})
        key = own.get("pk", own.get("id"))
    return str(key) if key.__class__ in _KEY_TYPES or type(key).__name__ == "UUID" else None


_KEY_TYPES: Final = frozenset({int, str})
