"""
The address of the client behind trusted proxies.

Measure. Pure functions of ``request.META``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from obs_middleware.measure.remembered import Remembered

__all__ = ["client_address", "networks", "normal_address"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MOST_HOPS: Final = 100
_WITH_PORT: Final = re.compile(r"(?:\[([^\]]*)\](?::\d+)?|([0-9.]+)(?::\d+)?|([0-9A-Fa-f:.]+(?:%[^\s%]+)?))", re.ASCII)

# Two common forms beyond RFC 7239 are valid: spaces around the semicolon, and ports and brackets without quotes.
_PAIR: Final = re.compile(r"""[ \t]*+([^\s",;=\\]++)=(?:"((?:[^"\\]|\\.)*+)"|([^\s",;\\]*+))[ \t]*+""", re.DOTALL)
_MAY_BE_PAIR: Final = r"""[ \t]*+(?:[^\s",;=\\]++=(?:"(?:[^"\\]|\\.)*+"|[^\s",;\\]*+)[ \t]*+)?+"""
_ELEMENT: Final = re.compile(f"{_MAY_BE_PAIR}(?:;{_MAY_BE_PAIR})*+", re.DOTALL)
_MAPPED_BITS: Final = 96


def networks(trusted: Sequence[str]) -> tuple[Network, ...]:
    """
    Return CIDRs or single addresses as networks. An IPv4 network mapped to IPv6 is returned as the IPv4 network.

    Raises:
        ValueError: An item of *trusted* is not a network.
    """
    return tuple(_unmapped(ipaddress.ip_network(one, strict=False)) for one in trusted)


def _unmapped(network: Network) -> Network:
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


def client_address(meta: Mapping[str, Any], trusted: int | Sequence[Network]) -> str | None:
    """
    Return the address of the client in its normal form, or None if it is unknown.

    Forwarded headers are believed only from *trusted* peers. They are read from the right, because anyone may write the
    left end. If ``X-Forwarded-For`` and ``Forwarded`` disagree, neither is believed, and the address of the peer is
    returned. A hop without a valid address gives None, never an exception; with networks, nothing to the left of it is
    read. Ports, brackets and zones are cut off. An IPv4 address mapped to IPv6 is returned as the IPv4 address.

    Args:
        meta: ``request.META``, or any mapping of its shape.
        trusted: The number of your proxies, or their networks. 0 trusts only the peer.

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
    """Return the client's address. *hops* are the hops before *peer*, nearest first."""
    if isinstance(trusted, int):
        *_, chosen = peer, *islice(hops, trusted)
        return normal_address(chosen)
    address = normal_address(peer)
    # A peer without an address is a Unix socket, to which only a trusted proxy can connect.
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
    Yield the ``for=`` of each element, from the right. It is empty if the element has none or is malformed.

    An element is the shortest well-formed one that ends here. A comma inside a quoted string does not begin an element,
    because an odd number of quotes follows it. So a client cannot hide or split the elements that your proxies append,
    whatever it sends.
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


def _normal_address(text: str) -> str | None:
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


normal_address: Final = Remembered(_normal_address)
"""Return the address in a text in its normal form, without brackets, port and zone, or None if it is not valid."""
