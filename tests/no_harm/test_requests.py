"""A middleware does nothing to a request: no query, no access to session, user, body or host."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject, empty
from endings.drivers import Visit, scope_of, site
from no_harm import props
from no_harm.world import World, counted_queries

SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"


class Recorder:
    """A view that records its requests."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    def __call__(self, request: Any) -> HttpResponse:
        self.requests.append(request)
        return HttpResponse("hello")


@pytest.fixture(name="recorder")
def _recorder() -> Recorder:
    return Recorder()


@pytest.fixture(name="member")
def _member(db: None, world: World) -> User:
    """A user whose client is logged in."""
    user = User.objects.create_user("member")
    world.client.force_login(user)
    return user


def test_a_logged_in_client_costs_no_query_if_the_user_is_not_needed(
    world: World, member: User, recorder: Recorder
) -> None:
    counts = []
    for judged in (False, True):
        with counted_queries() as queries:
            world.visit(world.view(recorder), judged=judged, below=[SESSION, AUTH])
        counts.append(len(queries))

    assert counts == [0, 0]


def test_a_view_that_asks_for_the_user_costs_no_further_query(world: World, member: User) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(request.user.username)

    counts = []
    for judged in (False, True):
        with counted_queries() as queries:
            assert world.visit(view, judged=judged, below=[SESSION, AUTH]).content == b"member"
        counts.append(len(queries))

    assert counts == [2, 2]


def test_the_session_is_not_accessed(world: World, member: User, recorder: Recorder) -> None:
    world.visit(world.view(recorder), below=[SESSION, AUTH])

    (request,) = recorder.requests
    # From the instance, because in some versions of Django reading the property is an access.
    assert request.session.__dict__.get("accessed") is False
    assert request.session.modified is False
    assert "_session_cache" not in request.session.__dict__


def test_no_response_begins_to_vary_by_cookie(world: World, member: User, recorder: Recorder) -> None:
    answer = world.visit(world.view(recorder), below=[SESSION, AUTH])

    assert "Vary" not in answer.headers
    assert answer.cookies == {}


def test_a_lazy_user_stays_lazy(world: World, member: User, recorder: Recorder) -> None:
    looked_up = mock.Mock()
    with mock.patch("django.contrib.auth.middleware.get_user", looked_up):
        world.visit(world.view(recorder), below=[SESSION, AUTH])

    user = recorder.requests[0].user
    # The middleware must not replace the lazy object either.
    assert looked_up.call_count == 0
    assert type(user) is SimpleLazyObject
    assert user.__dict__["_wrapped"] is empty


def test_a_lazy_attribute_of_the_request_stays_lazy(world: World, recorder: Recorder) -> None:
    world.visit(world.view(recorder), below=["no_harm.props.Tenant"])

    assert props.seen == []
    assert recorder.requests[0].tenant.__dict__["_wrapped"] is empty


def test_a_view_reads_a_body_that_is_larger_than_the_memory_limit(world: World) -> None:
    """If the middleware read ``request.body``, this upload would be answered 400."""
    body = b"x" * 5000

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(request.read().count(b"x")))

    answer = world.visit(
        world.view(view),
        method="post",
        data=body,
        content_type="application/octet-stream",
        DATA_UPLOAD_MAX_MEMORY_SIZE=1000,
    )

    assert (answer.status, answer.content) == (200, b"5000")


def test_a_view_reads_a_large_form_as_a_stream(world: World) -> None:
    """The same for a form, which some middleware parse for their log."""
    body = b"field=" + b"x" * 5000

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.read())

    answer = world.visit(
        world.view(view),
        method="post",
        data=body,
        content_type="application/x-www-form-urlencoded",
        DATA_UPLOAD_MAX_MEMORY_SIZE=1000,
    )

    assert (answer.status, answer.content) == (200, body)


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_a_body_that_nobody_reads_is_not_read(world: World, recorder: Recorder, content_type: str) -> None:
    world.visit(world.view(recorder), method="post", data=b"a=1", content_type=content_type)

    (request,) = recorder.requests
    assert request._read_started is False
    assert not {"_body", "_post", "_files"} & request.__dict__.keys()


class Counting(FileUploadHandler):
    """An upload handler that records the sizes of its chunks, and keeps no file."""

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self.sizes: list[int] = []

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        self.sizes.append(len(raw_data))
        return None

    def file_complete(self, file_size: int) -> Any:
        return None


def test_a_view_may_choose_its_upload_handlers(world: World) -> None:
    """Django refuses that after the form has been parsed."""
    handlers = []

    def view(request: Any) -> HttpResponse:
        request.upload_handlers = [handler := Counting(request)]
        request.POST  # noqa: B018 -- parses the form
        handlers.append(handler)
        return HttpResponse()

    answer = world.visit(world.view(view), method="post", data={"file": SimpleUploadedFile("f.bin", b"x" * 300_000)})

    assert answer.status == 200
    assert sum(handlers[0].sizes) == 300_000
    assert len(handlers[0].sizes) > 1


def test_an_upload_reaches_the_view_as_it_was_sent(world: World) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(request.FILES["file"].read() + request.POST["name"].encode())

    bare, judged = (
        world.visit(
            world.view(view),
            judged=judged,
            method="post",
            data={"file": SimpleUploadedFile("f.txt", b"content"), "name": "n"},
        )
        for judged in (False, True)
    )

    assert judged == bare
    assert judged.content == b"contentn"


def test_a_health_check_with_any_host_passes(world: World, recorder: Recorder) -> None:
    """A load balancer uses an address as the host. A layer below answers before anything checks the host."""
    answer = world.visit(
        world.view(recorder),
        url="/health/",
        below=["no_harm.props.Health", COMMON],
        headers={"Host": "10.0.0.1"},
        ALLOWED_HOSTS=["example.com"],
    )

    assert (answer.status, answer.content) == (200, b"healthy")


def test_a_host_that_the_site_does_not_use_is_not_validated(world: World, recorder: Recorder) -> None:
    answer = world.visit(world.view(recorder), headers={"Host": "10.0.0.1"}, ALLOWED_HOSTS=["example.com"])

    assert answer.status == 200


def test_a_host_that_is_not_allowed_is_refused_as_without_it(world: World, recorder: Recorder) -> None:
    bare, judged = world.compare(
        world.view(recorder), below=[COMMON], headers={"Host": "10.0.0.1"}, ALLOWED_HOSTS=["example.com"]
    )

    assert judged == bare
    assert judged.status == 400


HOSTILE = {
    "a long request id": {"X-Request-ID": "a" * 10_000},
    "a request id with controls": {"X-Request-ID": "a\x1b[2J\x85\x00"},
    "a broken trace": {"traceparent": "00-zz-zz-zz", "tracestate": "=,=,"},
    "broken proxies": {"X-Forwarded-For": "unknown, [::1, 999.1.1.1:x", "Forwarded": 'for="_x;by=;;'},
    "a broken agent": {"User-Agent": "\xff\xfe%s{}"},
    "a broken address": {"Host": "testserver", "Referer": "http://[::1"},
}


@pytest.mark.parametrize("headers", HOSTILE.values(), ids=HOSTILE)
def test_a_request_with_broken_headers_is_answered(world: World, recorder: Recorder, headers: dict[str, str]) -> None:
    bare, judged = world.compare(world.view(recorder), headers=headers)

    assert judged == bare
    assert judged.status == 200


@pytest.mark.parametrize("url", ["/%0a%1b[2J", "/%ff%fe/", "/%25s{}/", "/?%ff=%zz&password=x", "//evil/"])
def test_a_request_of_a_strange_address_is_answered(world: World, recorder: Recorder, url: str) -> None:
    bare, judged = world.compare(world.view(recorder), url=url)

    assert judged == bare


def test_the_view_gets_the_same_request(world: World) -> None:
    seen = []

    def view(request: Any) -> HttpResponse:
        names = {"method", "path", "path_info", "content_type", "content_params", "encoding", "META", "COOKIES"}
        seen.append({name: getattr(request, name) for name in names})
        seen[-1]["META"] = {name: value for name, value in request.META.items() if isinstance(value, str)}
        seen[-1]["match"] = repr(request.resolver_match)
        seen[-1]["host"] = request.get_host()
        seen[-1]["query"] = request.GET.dict()
        return HttpResponse()

    world.compare(world.view(view), url="/?a=1", headers={"X-Request-ID": "given", "X-Own": "1"})

    assert seen[0] == seen[1]


def test_a_view_runs_in_the_same_thread_as_without_it(mode: str, world: World) -> None:
    """A sync view under WSGI runs in the thread of the server, an async view on the event loop."""
    threads = []

    def view(request: HttpRequest) -> HttpResponse:
        threads.append(threading.get_ident())
        return HttpResponse()

    world.serve(world.view(view), Visit())

    assert threads == [threading.get_ident()]


def test_two_async_requests_are_served_at_once() -> None:
    """This uses the handler of servers, because requests of the test client share one thread for sync code."""
    statuses: list[int] = []

    async def view(request: HttpRequest) -> HttpResponse:
        await asyncio.wait_for(meeting.wait(), 10)
        return HttpResponse()

    async def visit(application: ASGIHandler) -> None:
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            return messages.pop() if messages else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        await application(scope_of(Visit()), receive, send)

    async def both() -> None:
        application = ASGIHandler()
        await asyncio.gather(visit(application), visit(application))

    meeting = _Meeting(2)
    world = World("async")
    with site(view, world.chain(judged=True)):
        asyncio.run(both())

    assert sorted(statuses) == [0, 0, 200, 200]


class _Meeting:
    """Like ``asyncio.Barrier``, but without its exceptions."""

    def __init__(self, parties: int) -> None:
        self._missing = parties
        self._complete = asyncio.Event()

    async def wait(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._complete.set()
        await self._complete.wait()
