"""`measure.facts` and `measure.client`: what the line knows, read without touching the application."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from conftest import Get, Site, respond
from django.contrib.auth import alogin, login
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils.functional import SimpleLazyObject
from hypothesis import given
from hypothesis import strategies as st
from testproject.middleware import OtherUrls

from obs_middleware import timed
from obs_middleware.measure.client import client_address, networks, normal_address
from obs_middleware.measure.user import user_id
from obs_middleware.testing import CapturedRequests, capture_requests

# The user


class Visitor:
    """Somebody who is logged in, and what a view then does."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.user = User.objects.create_user("u", password="p")

    def visit(self, view: Any, *, logged_in: bool = True) -> tuple[int, Any]:
        """Return how many queries the visit made, and its response."""
        urls = type("urls", (), {"urlpatterns": [path("", view)]})
        client: Any = Client() if self.mode == "sync" else AsyncClient()
        if logged_in:
            client.force_login(self.user)
        with override_settings(ROOT_URLCONF=urls), CaptureQueriesContext(connection) as queries:
            response = client.get("/") if self.mode == "sync" else async_to_sync(client.get)("/")
        return len(queries), response


@pytest.fixture(name="visitor")
def _visitor(mode: str, db: None) -> Visitor:
    return Visitor(mode)


def test_a_view_that_does_not_ask_costs_no_query(visitor: Visitor, lines: CapturedRequests) -> None:
    seen: list[Any] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return HttpResponse()

    queries, response = visitor.visit(view)

    assert queries == 0
    assert "user_id" not in lines[0]
    assert "Vary" not in response
    assert seen[0].session.accessed is False
    assert isinstance(seen[0].__dict__["user"], SimpleLazyObject)


def test_a_user_that_the_view_asked_for_is_known(visitor: Visitor, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(request.user))

    queries, _ = visitor.visit(view)

    assert queries == 2
    assert lines[0]["user_id"] == str(visitor.user.pk)


def test_auser_is_known(visitor: Visitor, lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(await request.auser()))

    visitor.visit(view)

    assert lines[0]["user_id"] == str(visitor.user.pk)


def test_a_session_that_was_read_tells_who_it_is(visitor: Visitor, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.session.get("nothing", ""))

    queries, _ = visitor.visit(view)

    assert queries == 1
    assert lines[0]["user_id"] == str(visitor.user.pk)


def test_login_is_known_at_once(visitor: Visitor, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        login(request, visitor.user)
        return HttpResponse()

    async def async_view(request: HttpRequest) -> HttpResponse:
        await alogin(request, visitor.user)
        return HttpResponse()

    visitor.visit(view if visitor.mode == "sync" else async_view, logged_in=False)

    assert lines[0]["user_id"] == str(visitor.user.pk)


def test_nobody_is_nobody(visitor: Visitor, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(request.user.is_authenticated))

    visitor.visit(view, logged_in=False)

    assert "user_id" not in lines[0]


def test_a_user_that_may_not_log_in_any_more_is_nobody(visitor: Visitor, lines: CapturedRequests) -> None:
    """The session still has the id, but the user was found to be anonymous."""

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(request.user.is_authenticated))

    client: Any = Client() if visitor.mode == "sync" else AsyncClient()
    client.force_login(visitor.user)
    User.objects.update(is_active=False)
    urls = type("urls", (), {"urlpatterns": [path("", view)]})
    with override_settings(ROOT_URLCONF=urls):
        response = client.get("/") if visitor.mode == "sync" else async_to_sync(client.get)("/")

    assert response.content == b"False"
    assert "user_id" not in lines[0]


@pytest.mark.django_db
@pytest.mark.usefixtures("mode")
def test_the_user_can_be_left_out(visitor: Visitor) -> None:
    with override_settings(OBS_MIDDLEWARE={"USER": False}), capture_requests() as lines:
        visitor.visit(lambda request: HttpResponse(str(request.user)))

    assert "user_id" not in lines[0]


@pytest.mark.django_db
def test_a_deferred_key_and_a_token_are_not_touched() -> None:
    User.objects.create_user("u")
    deferred = User.objects.only("username").get()
    del deferred.__dict__["id"]
    request = RequestFactory().get("/")
    request.user = deferred
    request.auth = "secret-token"  # type: ignore[attr-defined]  # as django-ninja has it

    with CaptureQueriesContext(connection) as queries:
        assert user_id(request) is None
    assert len(queries) == 0


@pytest.mark.parametrize(
    ("user", "expected"),
    [(AnonymousUser(), None), (object(), None), (None, None), (7, None), (type("T", (), {})(), None)],
    ids=["anonymous", "object", "none", "int", "plain"],
)
def test_what_is_not_a_user_has_no_id(user: Any, expected: str | None) -> None:
    request = RequestFactory().get("/")
    request.user = user

    assert user_id(request) is expected
    assert user_id(object()) is None


# Routes


def test_the_route_is_right_in_every_kind_of_urlconf(get: Get, lines: CapturedRequests) -> None:
    for url in ("/shop/item/7/", "/re/2026/", "/ok/", "/"):
        get(url)

    assert [(line["route"], line["view"]) for line in lines] == [
        ("shop/item/<int:number>/", "shop:item"),
        ("^re/(?P<number>[0-9]{4})/$", "testproject.views.item"),
        ("ok/", "ok"),
        ("", "testproject.views.ok"),
    ]


def test_a_urlconf_that_a_middleware_chose_is_followed(mode: str, lines: CapturedRequests) -> None:
    def view(request: HttpRequest, name: str) -> HttpResponse:
        return HttpResponse()

    other = type("other", (), {"urlpatterns": [path("tenant/<slug:name>/", view, name="tenant")]})
    OtherUrls.urlconf = other
    with override_settings(
        MIDDLEWARE=["obs_middleware.middleware.TimingMiddleware", "testproject.middleware.other_urls"]
    ):
        if mode == "sync":
            Client().get("/tenant/a/")
        else:
            async_to_sync(AsyncClient().get)("/tenant/a/")

    assert (lines[0]["route"], lines[0]["view"]) == ("tenant/<slug:name>/", "tenant")


def test_a_script_prefix_is_not_part_of_the_route(lines: CapturedRequests) -> None:
    Client().get("/ok/", SCRIPT_NAME="/mounted")

    assert (lines[0]["path"], lines[0]["route"]) == ("/mounted/ok/", "ok/")


# The client's address

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
def test_the_address_is_the_first_that_is_not_ours(
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
def test_the_header_of_rfc_7239_is_read(forwarded: str, expected: str | None) -> None:
    assert client_address({"REMOTE_ADDR": "10.0.0.1", "HTTP_FORWARDED": forwarded}, 1) == expected


@pytest.mark.parametrize("hop", ["proto=https;by=10.0.0.1", "for=unknown", "for=_hidden", "", '"', "for"])
def test_behind_a_hop_that_is_unknown_nothing_is_read(hop: str) -> None:
    header = f"for=6.6.6.6, {hop}, for=10.0.0.2"

    assert client_address({"REMOTE_ADDR": "10.0.0.1", "HTTP_FORWARDED": header}, PROXIES) is None


def elements(header: str) -> list[str]:
    """Return the ``for=`` of each element of a well-formed header, letter by letter from the left."""
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
def test_what_our_proxies_wrote_is_read_whatever_the_client_sent(sent: str | None, ours: list[str]) -> None:
    """Also what a client has a proxy quote, as its host."""
    meta = {"REMOTE_ADDR": "10.0.0.1", "HTTP_FORWARDED": ", ".join(ours if sent is None else [sent, *ours])}

    for count, expected in enumerate(reversed(elements(", ".join(ours))), 1):
        assert client_address(meta, count) == normal_address(expected)


HOPS = st.sampled_from(["10.0.0.2", "2001:db8::2", "203.0.113.7", "::ffff:10.1.1.1", "", "unknown", "_x", "a:b"])


@given(st.lists(HOPS, min_size=1), st.sampled_from(["10.0.0.1", "203.0.113.9", ""]))
def test_the_walk_ends_at_the_first_that_is_not_ours(hops: list[str], peer: str) -> None:
    """In both headers alike."""
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
def test_a_long_header_costs_no_more_than_its_length(text: str) -> None:
    """Twice as long takes twice the time, and not four times, which here would be minutes."""
    for end in ("", '"', '"x'):
        meta = {"REMOTE_ADDR": "10.0.0.1", "HTTP_FORWARDED": text * 60_000 + end}
        assert client_address(meta, 1) is None


def test_two_headers_that_disagree_are_both_not_believed() -> None:
    """One of them the proxy did not write, and nobody can say which."""
    meta = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "6.6.6.6", "HTTP_FORWARDED": "for=203.0.113.7"}

    assert client_address(meta, 1) == "10.0.0.1"
    assert client_address({**meta, "HTTP_X_FORWARDED_FOR": "203.0.113.7"}, 1) == "203.0.113.7"


@given(
    st.text(),
    st.text() | st.lists(st.ip_addresses().map(str) | st.text()).map(", ".join),
    st.text(),
    st.integers(0, 5) | st.just(PROXIES),
)
def test_whatever_the_headers_say_it_is_an_address_or_nothing(
    peer: str, xff: str, forwarded: str, trusted: Any
) -> None:
    meta = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": xff, "HTTP_FORWARDED": f"for={forwarded}"}
    address = client_address(meta, trusted)

    assert address is None or str(ipaddress.ip_address(address)) == address


@given(st.ip_addresses())
def test_an_address_comes_out_in_its_normal_form(address: Any) -> None:
    mapped = getattr(address, "ipv4_mapped", None)
    expected = str(mapped or address)

    assert normal_address(str(address)) == expected
    if address.version == 6:
        assert normal_address(f"[{address.exploded.upper()}]:80") == expected


def test_the_address_is_on_the_line(get: Get, lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"TRUSTED_PROXIES": 1}):
        get("/ok/", headers={"X-Forwarded-For": "6.6.6.6, 203.0.113.7"})
    with override_settings(OBS_MIDDLEWARE={"TRUSTED_PROXIES": ["127.0.0.0/8"]}):
        get("/ok/", headers={"X-Forwarded-For": "203.0.113.8"})
    get("/ok/", headers={"X-Forwarded-For": "203.0.113.9"})

    assert [line["client_ip"] for line in lines] == ["203.0.113.7", "203.0.113.8", "127.0.0.1"]


# What is asked for


def test_nothing_more_is_told_unless_it_is_asked_for(get: Get, lines: CapturedRequests) -> None:
    get("/ok/?a=1", headers={"User-Agent": "curl", "Referer": "http://x/", "X-Tenant": "t"})

    assert not {"user_agent", "host", "scheme", "http_version", "query", "referrer", "headers"} & set(lines[0])


def test_the_optional_fields_are_told_when_asked_for(mode: str, get: Get, lines: CapturedRequests) -> None:
    asked = {
        "FIELDS": ["user_agent", "host", "scheme", "http_version", "query", "referrer"],
        "HEADERS": ["X-Tenant", "Authorization", "X-Missing"],
    }
    sent = {
        **({"Host": "testserver"} if mode == "sync" else {}),  # the async client sends it by itself
        "User-Agent": "curl",
        "Referer": "http://u:p@x/y?token=1&b=2#f",
        "X-Tenant": "t1",
        "Authorization": "Bearer abc",
    }
    with override_settings(OBS_MIDDLEWARE=asked):
        get("/ok/?a=1&token=secret", headers=sent)

    (line,) = lines
    assert (line["user_agent"], line["host"], line["scheme"]) == ("curl", "testserver", "http")
    assert line["http_version"] == "1.1"
    assert line["query"] == "a=1&token=[redacted]"
    assert line["referrer"] == "http://x/y?token=[redacted]&b=2"
    assert line["headers"] == {"x-tenant": "t1", "authorization": "[redacted]"}


def test_a_field_that_fails_costs_only_itself(lines: CapturedRequests) -> None:
    class Odd(HttpRequest):
        @property
        def scheme(self) -> str:
            raise ValueError("no")

    request = Odd()
    request.META["HTTP_USER_AGENT"] = "curl"
    with override_settings(OBS_MIDDLEWARE={"FIELDS": ["scheme", "user_agent"]}):
        response = respond(lambda request: HttpResponse(), request)

    assert response.status_code == 200
    assert (lines[0]["status"], lines[0]["user_agent"]) == (200, "curl")
    assert [log["logger"] for log in lines.logs] == ["obs_middleware"]


def enrich(request: HttpRequest, response: HttpResponse | None) -> dict[str, Any]:
    return {"tenant": "t1", "status": "mine", "size": None if response is None else len(response.content)}


def enrich_badly(request: HttpRequest, response: HttpResponse | None) -> dict[str, Any]:
    raise GeneratorExit


def test_a_project_can_enrich_the_line(get: Get, lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"ENRICH": enrich}):
        get("/ok/")

    assert (lines[0]["tenant"], lines[0]["app_status"], lines[0]["size"]) == ("t1", "mine", 2)


def test_an_enrichment_that_fails_is_reported_once(get: Get, lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"ENRICH": enrich_badly}):
        assert get("/ok/").status_code == get("/ok/").status_code == 200

    assert len(lines) == 2
    assert [log["logger"] for log in lines.logs] == ["obs_middleware"]


# Server-Timing


def work(request: HttpRequest) -> HttpResponse:
    with timed("stripe"):
        pass
    response = HttpResponse()
    if "own" in request.GET:
        response["Server-Timing"] = "cache;desc=hit"
    return response


@pytest.mark.parametrize(
    ("setting", "debug", "written"),
    [(False, True, False), (True, False, True), ("debug", False, False), ("debug", True, True)],
)
def test_server_timing_is_written_when_asked_for(site: Site, setting: Any, debug: bool, written: bool) -> None:
    response = site.get(work, OBS_MIDDLEWARE={"SERVER_TIMING": setting}, DEBUG=debug)

    assert ("Server-Timing" in response) is written


def test_server_timing_has_total_database_and_blocks_behind_the_applications_own(site: Site) -> None:
    response = site.get(work, "/?own=1", OBS_MIDDLEWARE={"SERVER_TIMING": True})

    parts = response["Server-Timing"].split(", ")
    assert [part.split(";")[0] for part in parts] == ["cache", "total", "db", "stripe"]
    assert 'desc="0 queries"' in parts[2]
    assert all(float(part.split("dur=")[1].split(";")[0]) >= 0 for part in parts[1:])


def test_a_name_that_is_no_token_cannot_break_the_header(lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        with timed('a b;"\r\nX: 1'):
            pass
        return HttpResponse()

    with override_settings(OBS_MIDDLEWARE={"SERVER_TIMING": True}):
        response = respond(view, RequestFactory().get("/"))

    assert "a_b____X__1;dur=" in response["Server-Timing"]


def test_included_urls_and_namespaces_are_resolved_once(
    monkeypatch: pytest.MonkeyPatch, lines: CapturedRequests
) -> None:
    from django.urls import resolvers  # noqa: PLC0415 -- patched below

    calls: list[str] = []
    original = resolvers.URLResolver.resolve

    def counted(self: Any, path: str) -> Any:
        calls.append(path)
        return original(self, path)

    monkeypatch.setattr(resolvers.URLResolver, "resolve", counted)
    Client().get("/shop/item/7/")

    assert calls.count("/shop/item/7/") == 1
