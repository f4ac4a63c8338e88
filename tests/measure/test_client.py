"""`obs_middleware.measure.client`: the client's address, which clients cannot forge."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from daphne.utils import parse_x_forwarded_for  # type: ignore[import-untyped]  # daphne has no types
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse
from endings.drivers import OURS, Visit, site, visit_asgi
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from obs_middleware.measure.client import client_address, networks, normal_address
from obs_middleware.testing import CapturedRequests

PROXIES = networks(["10.0.0.0/8", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "trusted", "expected"),
    [
        ("203.0.113.7", None, 0, "203.0.113.7"),
        ("203.0.113.7", "6.6.6.6", 0, "203.0.113.7"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.7", 1, "203.0.113.7"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.7, 10.0.0.2", 2, "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7", 2, "203.0.113.7"),
        ("10.0.0.1", None, 1, "10.0.0.1"),
        ("10.0.0.1", "", 1, "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.7, 10.0.0.2", PROXIES, "203.0.113.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", PROXIES, "10.0.0.3"),
        ("203.0.113.7", "6.6.6.6", PROXIES, "203.0.113.7"),
        ("", "6.6.6.6, 203.0.113.7", PROXIES, "203.0.113.7"),
        ("", "203.0.113.7", 1, "203.0.113.7"),
        ("2001:db8::1", "2001:DB9::7", PROXIES, "2001:db9::7"),
        ("10.0.0.1", "203.0.113.7:4711", 1, "203.0.113.7"),
        ("10.0.0.1", "[2001:db9::7]:4711", 1, "2001:db9::7"),
        ("10.0.0.1", "[2001:db9::7]", 1, "2001:db9::7"),
        ("fe80::1%eth0", None, 0, "fe80::1"),
        ("::ffff:203.0.113.7", None, 0, "203.0.113.7"),
        ("10.0.0.1", "unknown", 1, None),
        ("10.0.0.1", "203.0.113.7, garbage", 1, None),
        ("10.0.0.1", "203.0.113.7, garbage", PROXIES, None),
        ("10.0.0.1", ",,,", 1, None),
        ("10.0.0.1", "6.6.6.6, , 10.0.0.2", PROXIES, None),
        ("10.0.0.1", "6.6.6.6, unknown, 10.0.0.2", PROXIES, None),
        ("10.0.0.1", "6.6.6.6, unix:, 10.0.0.2", PROXIES, None),
        ("10.0.0.1", "6.6.6.6, ", PROXIES, None),
        ("", "6.6.6.6, , 10.0.0.2", PROXIES, None),
        ("10.0.0.1", "6.6.6.6, 203.0.113.7, unknown", 2, "203.0.113.7"),
        ("10.0.0.1", ", ".join(["6.6.6.6", *["10.0.0.2"] * 200]), PROXIES, None),
        ("10.0.0.1", "203.0.113.7", networks(["::ffff:10.0.0.1"]), "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7", networks(["::ffff:10.0.0.0/104"]), "203.0.113.7"),
        ("::ffff:10.0.0.1", "203.0.113.7", networks(["10.0.0.1"]), "203.0.113.7"),
        ("10.0.0.1", "::ffff:10.0.0.2", networks(["::ffff:10.0.0.1"]), "10.0.0.2"),
        ("10.0.0.1", "203.0.113.7", networks(["::/0"]), "10.0.0.1"),
        ("not an address", None, 0, None),
        (None, None, 0, None),
    ],
)
def test_the_client_is_the_first_address_that_is_not_trusted(
    peer: str | None, forwarded_for: str | None, trusted: Any, expected: str | None
) -> None:
    meta = {"REMOTE_ADDR": peer} if peer is not None else {}
    if forwarded_for is not None:
        meta["HTTP_X_FORWARDED_FOR"] = forwarded_for

    assert client_address(meta, trusted) == expected


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("for=203.0.113.7", "203.0.113.7"),
        ('for="[2001:db9::7]:4711";proto=https;by=10.0.0.1', "2001:db9::7"),
        ("for=6.6.6.6, For=203.0.113.7;proto=http", "203.0.113.7"),
        ("proto=http;for=203.0.113.7:80", "203.0.113.7"),
        ("for=unknown", None),
        ("for=_hidden", None),
        ("proto=https", None),
        ('for="', None),
        ("for=203.0.113.7; proto=http ;; by=10.0.0.1 ", "203.0.113.7"),
        ("for=203.0.113.7 proto=http", None),
        ("for=6.6.6.6;for=203.0.113.7", None),
        ('for=203.0.113.7;host="evil,for=6.6.6.6;"', "203.0.113.7"),
        ('host="x;for=6.6.6.6;";for=203.0.113.7', "203.0.113.7"),
        (r'host="\",for=6.6.6.6;x=\"";for=203.0.113.7', "203.0.113.7"),
        (r'for="203.0.113.\7"', "203.0.113.7"),
        ('for=6.6.6.6;host="not closed, for=203.0.113.7', "203.0.113.7"),
        ('for=6.6.6.6,for="203.0.113.7"x', None),
    ],
)
def test_the_forwarded_header_is_read(forwarded: str, expected: str | None) -> None:
    assert client_address({"REMOTE_ADDR": "10.0.0.1", "HTTP_FORWARDED": forwarded}, 1) == expected


@pytest.mark.parametrize("hop", ["proto=https;by=10.0.0.1", "for=unknown", "for=_hidden", "", '"', "for"])
def test_nothing_is_read_beyond_an_unknown_hop(hop: str) -> None:
    header = f"for=6.6.6.6, {hop}, for=10.0.0.2"

    assert client_address({"REMOTE_ADDR": "10.0.0.1", "HTTP_FORWARDED": header}, PROXIES) is None


def elements(header: str) -> list[str]:
    """Return the ``for=`` of each element of a well-formed header. Reads it letter by letter from the left."""
    found, word, address, name, quoted, escaped = [], "", "", "", False, False
    for letter in f"{header},":
        if escaped:
            word, escaped = word + letter, False
        elif quoted:
            escaped, quoted = letter == "\\", letter != '"'
            word += letter if quoted and not escaped else ""
        elif letter == '"':
            quoted = True
        elif letter == "=":
            name, word = word, ""
        elif letter in ";,":
            address = word if name.lower() == "for" else address
            name = word = ""
            if letter == ",":
                found.append(address)
                address = ""
        elif letter not in " \t":
            word += letter
    return found


TRICKY = st.text(alphabet=',;="\\ for.61') | st.text()


VALUES = st.from_regex(r"[A-Za-z0-9.:_-]{1,9}", fullmatch=True) | TRICKY.map(
    lambda text: '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))
)


ADDRESSES = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map('"[{}]:80"'.format)


@st.composite
def well_formed(draw: st.DrawFn) -> str:
    """Draw one element of ``Forwarded``."""
    pairs = draw(st.lists(st.tuples(st.sampled_from(["by", "host", "proto", "x-for"]), VALUES), min_size=1, max_size=3))
    if draw(st.integers(0, 5)):
        pairs.insert(draw(st.integers(0, len(pairs))), (draw(st.sampled_from(["for", "For"])), draw(ADDRESSES)))
    return draw(st.sampled_from([";", "; ", " ;;"])).join(f"{name}={value}" for name, value in pairs)


@given(st.none() | TRICKY, st.lists(well_formed(), min_size=1, max_size=5))
def test_a_client_cannot_hide_the_elements_of_trusted_proxies(sent: str | None, ours: list[str]) -> None:
    """Not even by text that a proxy quotes, such as the host."""
    meta = {"REMOTE_ADDR": "10.0.0.1", "HTTP_FORWARDED": ", ".join(ours if sent is None else [sent, *ours])}

    for count, expected in enumerate(reversed(elements(", ".join(ours))), 1):
        assert client_address(meta, count) == normal_address(expected)


HOPS = st.sampled_from(["10.0.0.2", "2001:db8::2", "203.0.113.7", "::ffff:10.1.1.1", "", "unknown", "_x", "a:b"])


@given(st.lists(HOPS, min_size=1), st.sampled_from(["10.0.0.1", "203.0.113.9", ""]))
def test_both_headers_are_read_up_to_the_first_hop_that_is_not_trusted(hops: list[str], peer: str) -> None:
    expected = normal_address(peer)
    if peer != "203.0.113.9":
        for hop in reversed(hops):
            expected = normal_address(hop)
            if expected is None or not expected.startswith(("10.", "2001:db8:")):
                break

    plain, quoted = ", ".join(hops), ", ".join(f'for="{hop}"' for hop in hops)
    if plain.strip():
        assert client_address({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": plain}, PROXIES) == expected
    assert client_address({"REMOTE_ADDR": peer, "HTTP_FORWARDED": quoted}, PROXIES) == expected


@pytest.mark.parametrize("text", [",", "a=b,", ',a="', '\\"', 'a=",b=";c=";d=";', '",', '= "', "a", ";", " ;"])
def test_the_cost_of_a_long_header_is_linear(text: str) -> None:
    """With a quadratic cost, this would take minutes."""
    for end in ("", '"', '"x'):
        meta = {"REMOTE_ADDR": "10.0.0.1", "HTTP_FORWARDED": text * 60_000 + end}
        assert client_address(meta, 1) is None


def test_neither_of_two_headers_that_disagree_is_believed() -> None:
    """The client wrote one of them, and nothing says which."""
    meta = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "6.6.6.6", "HTTP_FORWARDED": "for=203.0.113.7"}

    assert client_address(meta, 1) == "10.0.0.1"
    assert client_address({**meta, "HTTP_X_FORWARDED_FOR": "203.0.113.7"}, 1) == "203.0.113.7"


@given(
    st.text(),
    st.text() | st.lists(st.ip_addresses().map(str) | st.text()).map(", ".join),
    st.text(),
    st.integers(0, 5) | st.just(PROXIES),
)
def test_any_headers_give_a_valid_address_or_none(peer: str, xff: str, forwarded: str, trusted: Any) -> None:
    meta = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": xff, "HTTP_FORWARDED": f"for={forwarded}"}
    address = client_address(meta, trusted)

    assert address is None or str(ipaddress.ip_address(address)) == address


@given(st.ip_addresses())
def test_an_address_is_returned_in_its_normal_form(address: Any) -> None:
    mapped = getattr(address, "ipv4_mapped", None)
    expected = str(mapped or address)

    assert normal_address(str(address)) == expected
    if address.version == 6:
        assert normal_address(f"[{address.exploded.upper()}]:80") == expected


CLIENT, FORGED = "203.0.113.7", "6.6.6.6"


@pytest.mark.parametrize(
    ("trusted_by_uvicorn", "trusted", "address"),
    [
        (None, 1, CLIENT),
        (None, ["127.0.0.1"], CLIENT),
        ("127.0.0.1", 0, CLIENT),
        ("127.0.0.1,10.0.0.0/8", ["127.0.0.1"], CLIENT),
        ("*", 0, FORGED),
        ("*", ["127.0.0.1"], FORGED),
        ("*", 1, CLIENT),
    ],
)
def test_a_forged_peer_is_avoided_as_the_documentation_says(
    trusted_by_uvicorn: str | None, trusted: Any, address: str, lines: CapturedRequests
) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    visit = Visit(headers={"X-Forwarded-For": f"{FORGED}, {CLIENT}"})
    with site(view, [OURS], OBS_MIDDLEWARE={"TRUSTED_PROXIES": trusted}):
        handler: Any = ASGIHandler()
        if trusted_by_uvicorn is not None:
            handler = ProxyHeadersMiddleware(handler, trusted_by_uvicorn)
        visit_asgi(visit, handler=handler)

    assert [line["client_ip"] for line in lines] == [address]


def test_daphne_takes_the_leftmost_address() -> None:
    """If this changes, change docs/how-to/proxies.md."""
    address, _ = parse_x_forwarded_for({b"X-Forwarded-For": f"{FORGED}, {CLIENT}".encode()})

    assert address[0] == FORGED
