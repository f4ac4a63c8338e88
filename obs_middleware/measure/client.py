"""
Pure readers: request or response -> value.

Measure. They read what Django has already computed and nothing else: no view is resolved again, no body is read, no
lazy object is evaluated, no session is touched. Each may be handed any object and answers None for what it cannot know.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
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

# Wider than RFC 7239 in two things that are common: spaces around the semicolon, and ports and brackets without quotes.
_PAIR: Final = re.compile(r"""[ \t]*+([^\s",;=\\]++)=(?:"((?:[^"\\]|\\.)*+)"|([^\s",;\\]*+))[ \t]*+""", re.DOTALL)
_MAY_BE_PAIR: Final = r"""[ \t]*+(?:[^\s",;=\\]++=(?:"(?:[^"\\]|\\.)*+"|[^\s",;\\]*+)[ \t]*+)?+"""
_ELEMENT: Final = re.compile(f"{_MAY_BE_PAIR}(?:;{_MAY_BE_PAIR})*+", re.DOTALL)
_MAPPED_BITS: Final = 96


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
    Return CIDRs, or single addresses, as networks; one of IPv4 in IPv6 clothes as the IPv4 network that it is.

    Raises:
        ValueError: One of them is not a network.
    """
    return tuple(_undressed(ipaddress.ip_network(one, strict=False)) for one in trusted)


def _undressed(network: Network) -> Network:
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


def client_address(meta: Mapping[str, Any], trusted: int | Sequence[Network]) -> str | None:
    """
    Return the address of the client in its normal form, or None when it cannot be known.

    Forwarded headers are believed only from *trusted* peers, read from the right: anyone may write the left end. If
    ``X-Forwarded-For`` and ``Forwarded`` are both there and disagree, neither is believed, and the peer is the answer.
    A hop without an address, or that is malformed, gives None and never an exception; with networks nothing to the left
    of it is read. Ports, brackets and zones are cut off; an IPv4 address in IPv6 clothes is undressed.

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
    chosen = {
        _pick(hops(header), peer, trusted)
        for key, hops in _HOPS.items()
        if isinstance(header := meta.get(key), str) and header.strip()
    }
    return chosen.pop() if len(chosen) == 1 else normal_address(peer)


def _pick(hops: Iterator[str], peer: str, trusted: int | Sequence[Network]) -> str | None:
    """Return the client's address, *hops* being those before *peer*, the nearest first."""
    if isinstance(trusted, int):
        *_, chosen = peer, *islice(hops, trusted)
        return normal_address(chosen)
    address = normal_address(peer)
    # A peer without a name is a Unix socket: whoever may connect to it is a proxy of ours.
    if peer and not _is_within(address, trusted):
        return address
    for hop in hops:
        address = normal_address(hop)
        if not _is_within(address, trusted):
            break
    return address


def _is_within(address: str | None, trusted: Sequence[Network]) -> bool:
    if address is None:
        return False
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in trusted if network.version == parsed.version)


def _x_forwarded_for(header: str) -> Iterator[str]:
    return reversed(header.rsplit(",", _MOST_HOPS))


def _forwarded(header: str) -> Iterator[str]:
    """
    Yield the ``for=`` of each element, from the right; an empty text for one without, and for what is no element.

    An element is the shortest one that ends here and is well formed. A comma inside a quoted string does not begin one,
    for behind it an odd number of quotes follows. So what a client sent, or had quoted, cannot hide or split what our
    proxies put behind it.
    """
    end = len(header)
    for _ in range(_MOST_HOPS):
        start = end
        while True:
            start = header.rfind(",", 0, start)
            if _ELEMENT.fullmatch(header, start + 1, end):
                break
            if start < 0:
                yield ""
                return
        pairs = _PAIR.findall(header, start + 1, end)
        named = [quoted or bare for name, quoted, bare in pairs if name.lower() == "for"]
        yield re.sub(r"\\(.)", r"\1", named[0]) if len(named) == 1 else ""
        if start < 0:
            return
        end = start
    yield ""


_HOPS: Final[Mapping[str, Callable[[str], Iterator[str]]]] = {
    "HTTP_X_FORWARDED_FOR": _x_forwarded_for,
    "HTTP_FORWARDED": _forwarded,
}


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
