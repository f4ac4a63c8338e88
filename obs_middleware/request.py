"""
Pure readers: request or response -> value.

Measure. They read what Django has already computed and nothing else: no view is resolved again, no body is read, no
lazy object is evaluated, no session is touched. Each may be handed any object and answers None for what it cannot know.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from django.db.models import Model
from django.http import HttpResponse
from django.utils.functional import LazyObject, empty

from obs_middleware.redaction import REDACTED, Secrets

__all__ = [
    "OPTIONAL_FIELDS",
    "client_address",
    "declared_bytes",
    "headers",
    "networks",
    "normal_address",
    "response_bytes",
    "user_id",
]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MOST_HOPS: Final = 100
_WITH_PORT: Final = re.compile(r"(?:\[([^\]]*)\](?::\d+)?|([0-9.]+)(?::\d+)?|([0-9A-Fa-f:.]+(?:%[^\s%]+)?))", re.ASCII)
_FORWARDED_FOR: Final = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"([^"]*)"|([^;\s]*))', re.IGNORECASE)


def declared_bytes(length: object) -> int | None:
    """Return the size of the request's body as its ``Content-Length`` declares it, or None for no such header."""
    # isascii too: "²".isdigit() is true; 18 digits are an exabyte, beyond it the header is a joke
    if isinstance(length, str) and length.isdigit() and length.isascii() and len(length) <= 18:
        return int(length)
    return None


def response_bytes(response: Any, method: str | None) -> int | None:
    """Return the size of a plain response's body in bytes: 0 to a HEAD request, None for a stream or anything else."""
    if type(response) is not HttpResponse and not isinstance(response, HttpResponse):
        return None
    return 0 if method == "HEAD" else len(response.content)


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


def networks(trusted: Sequence[str]) -> tuple[Network, ...]:
    """
    Return CIDRs, or single addresses, as networks.

    Raises:
        ValueError: One of them is not a network.
    """
    return tuple(ipaddress.ip_network(one, strict=False) for one in trusted)


def client_address(meta: Mapping[str, Any], trusted: int | Sequence[Network]) -> str | None:
    """
    Return the address of the client in its normal form, or None when it cannot be known.

    Forwarded headers are believed only from *trusted* peers, read from the right: anyone may write the left end. If
    ``X-Forwarded-For`` and ``Forwarded`` are both there and disagree, neither is believed, and the peer is the answer.
    A malformed address gives None, never an exception. Ports, brackets and zones are cut off; an IPv4 address in IPv6
    clothes is undressed.

    Args:
        meta: ``request.META``, or any mapping of its shape.
        trusted: How many proxies stand in front, or their networks; 0 believes the peer alone.

    Source: RFC 7239, sections 4, 5.2 and 6.
    """
    peer = meta.get("REMOTE_ADDR")
    if type(peer) is not str:
        peer = ""
    if not trusted:
        return normal_address(peer)
    chosen = {_pick(hops, peer, trusted) for hops in (_x_forwarded_for(meta), _forwarded(meta)) if hops is not None}
    return chosen.pop() if len(chosen) == 1 else normal_address(peer)


def _pick(hops: list[str], peer: str, trusted: int | Sequence[Network]) -> str | None:
    if isinstance(trusted, int):
        chain = [*hops, peer]
        return normal_address(chain[max(-len(chain), -trusted - 1)])
    address = peer
    # A peer without an address is a Unix socket: whoever may connect to it is a proxy of ours.
    while hops and (not address or _is_within(address, trusted)):
        address = hops.pop()
    return normal_address(address)


def _is_within(address: str, trusted: Sequence[Network]) -> bool:
    normal = normal_address(address)
    if normal is None:
        return False
    parsed = ipaddress.ip_address(normal)
    return any(parsed in network for network in trusted if network.version == parsed.version)


def _x_forwarded_for(meta: Mapping[str, Any]) -> list[str] | None:
    header = meta.get("HTTP_X_FORWARDED_FOR")
    if not isinstance(header, str) or not header.strip():
        return None
    return [hop.strip() for hop in header.rsplit(",", _MOST_HOPS)]


def _forwarded(meta: Mapping[str, Any]) -> list[str] | None:
    header = meta.get("HTTP_FORWARDED")
    if not isinstance(header, str) or not header.strip():
        return None
    hops = []
    for element in header.rsplit(",", _MOST_HOPS):
        match = _FORWARDED_FOR.search(element)
        hops.append((match[1] if match[1] is not None else match[2]) if match else "")
    return hops


@functools.lru_cache(maxsize=1024)
def normal_address(text: str) -> str | None:
    """Return the address in *text*, without brackets, port or zone, in its normal form; None if there is none."""
    match = _WITH_PORT.fullmatch(text.strip()) if len(text) <= 100 else None
    if match is None:
        return None
    try:
        address = ipaddress.ip_address((match[1] or match[2] or match[3]).partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def headers(meta: Mapping[str, Any], names: Sequence[tuple[str, str]], secrets: Secrets) -> dict[str, str]:
    """
    Return the headers asked for that are there; a secret one keeps its name and loses its value.

    Args:
        meta: ``request.META``.
        names: Pairs of lower-case name and key in *meta*.
        secrets: Which names are secret.
    """
    found = {name: value for name, key in names if isinstance(value := meta.get(key), str)}
    return {name: REDACTED if secrets.hides(name) else value for name, value in found.items()}


def _user_agent(request: Any, _: Secrets) -> Any:
    return request.META.get("HTTP_USER_AGENT")


def _host(request: Any, _: Secrets) -> Any:
    # Not get_host(): it raises for a host that is not allowed, as a health check's often is.
    return request.META.get("HTTP_HOST")


def _scheme(request: Any, _: Secrets) -> Any:
    return request.scheme


def _http_version(request: Any, _: Secrets) -> Any:
    scope = getattr(request, "scope", None)
    if scope is not None:
        return scope.get("http_version")
    return request.META.get("SERVER_PROTOCOL", "").removeprefix("HTTP/")


def _query(request: Any, secrets: Secrets) -> Any:
    return secrets.hide_in_query(request.META.get("QUERY_STRING", ""))


def _referrer(request: Any, secrets: Secrets) -> Any:
    return secrets.hide_in_url(request.META.get("HTTP_REFERER", ""))


OPTIONAL_FIELDS: Final[Mapping[str, Callable[[Any, Secrets], Any]]] = {
    "user_agent": _user_agent,
    "host": _host,
    "scheme": _scheme,
    "http_version": _http_version,
    "query": _query,
    "referrer": _referrer,
}
"""What ``OBS_MIDDLEWARE["FIELDS"]`` may ask for, each with its reader; what is empty is left out."""
