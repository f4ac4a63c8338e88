"""
The id of the user, if the application already knows who it is: no query, no session access.

Measure. Reads only what Django has loaded.
"""

from __future__ import annotations

from typing import Any, Final

from django.db.models import Model
from django.utils.functional import LazyObject, empty

__all__ = ["user_id"]


def user_id(request: Any) -> str | None:
    """
    Return the primary key of the user as text, if somebody has already asked who it is; None otherwise.

    Looks into what the request and its session have loaded, in this order: a real user on ``request.user``, the user
    that ``request.user`` or ``request.auser()`` fetched, the id in a session that was read. Never a query, never an
    access to the session, never an authentication token.
    """
    known = getattr(request, "__dict__", {})
    was_asked = False
    for name in _PLACES_OF_USER:
        if name in known:
            found = _primary_key(known[name])
            if found is not None:
                return found
            was_asked = was_asked or not _is_unevaluated(known[name])
    # Who was asked for and is nobody may have an id in the session all the same: a user who may not log in any more.
    if was_asked or "session" not in known:
        return None
    loaded = getattr(known["session"], "__dict__", {}).get("_session_cache")
    key = loaded.get("_auth_user_id") if isinstance(loaded, dict) else None
    return key if isinstance(key, str) and key else None


_PLACES_OF_USER: Final = ("user", "_cached_user", "_acached_user")


def _is_unevaluated(user: Any) -> bool:
    return issubclass(type(user), LazyObject) and user.__dict__.get("_wrapped", empty) is empty


def _primary_key(user: Any) -> str | None:
    # The type first: to ask a lazy object for anything evaluates it, which is a query.
    if issubclass(type(user), LazyObject):
        user = user.__dict__.get("_wrapped", empty)
        if user is empty:
            return None
    if isinstance(user, Model):
        # From __dict__: a deferred key would be fetched.
        key = user.__dict__.get(user._meta.pk.attname)  # noqa: SLF001 -- Django's own public name
    else:
        own = getattr(user, "__dict__", {})
        key = own.get("pk", own.get("id"))
    return str(key) if key.__class__ in _KEY_TYPES or type(key).__name__ == "UUID" else None


_KEY_TYPES: Final = frozenset({int, str})
