"""The line of a websocket connection, from the messages that a server and an application exchange."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.test import override_settings

from obs_middleware import bind, stats
from obs_middleware.asgi import observed
from obs_middleware.measure.event import current_event
from obs_middleware.testing import CapturedRequests

Body = Callable[[Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

SCOPE: dict[str, Any] = {
    "type": "websocket",
    "path": "/chat/",
    "client": ("127.0.0.1", 4321),
    "headers": [
        (b"x-request-id", b"ws-1"),
        (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ],
}


def connect(body: Body, *received: Any, broken: BaseException | None = None, **scope: Any) -> None:
    """Serve one connection to an application with this *body*; ``send`` raises *broken*, after the first message."""
    messages = iter([{"type": "websocket.connect"}, *received])
    sent: list[Any] = []

    async def receive() -> Any:
        message = next(messages)
        if isinstance(message, BaseException):
            raise message
        return message

    async def send(message: Any) -> None:
        if sent and broken is not None:
            raise broken
        sent.append(message)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await body(receive, send)

    async def serve() -> None:
        await observed(application)({**SCOPE, **scope}, receive, send)

    asyncio.run(serve())


async def talk(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": "hello"})


def closing(**close: Any) -> Body:
    async def body(receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", **close})
        await receive()

    return body


async def refuse(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 4003})
    await receive()


async def answer(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b""})


async def fail(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    raise ValueError("no")


def left(code: int) -> dict[str, Any]:
    return {"type": "websocket.disconnect", "code": code}


MESSAGE = {"type": "websocket.receive", "text": "hi"}


@pytest.mark.parametrize(
    ("body", "received", "outcome", "code"),
    [
        pytest.param(talk, [MESSAGE, left(1000)], "ok", 1000, id="the client closes"),
        pytest.param(talk, [left(1001)], "ok", 1001, id="the client goes away"),
        pytest.param(talk, [{"type": "websocket.disconnect"}], "ok", 1005, id="no code"),
        pytest.param(talk, [left(1006)], "aborted", 1006, id="the client vanishes"),
        pytest.param(talk, [asyncio.CancelledError()], "aborted", None, id="cancelled"),
        pytest.param(closing(code=4001), [left(1006)], "ok", 4001, id="the application closes"),
        pytest.param(closing(), [left(1000)], "ok", 1000, id="closed without a code"),
        pytest.param(refuse, [left(1006)], "rejected", None, id="refused"),
        pytest.param(answer, [], "rejected", None, id="answered with a response"),
        pytest.param(fail, [], "error", None, id="an exception"),
    ],
)
def test_a_connection_has_one_line_however_it_ends(
    body: Body, received: list[Any], outcome: str, code: int | None, lines: CapturedRequests
) -> None:
    before = stats()
    try:
        connect(body, *received)
    except (ValueError, asyncio.CancelledError):
        assert outcome in {"error", "aborted"}

    (line,) = lines
    assert re.fullmatch(r"Connection took \d+\.\d{4} seconds", line["message"])
    assert (line["kind"], line["path"], line["outcome"], line.get("close_code")) == (
        "websocket",
        "/chat/",
        outcome,
        code,
    )
    assert line["level"] == ("error" if outcome == "error" else "info")
    assert ("stack_trace" in line) == (outcome == "error")
    after = stats()
    assert (after["websockets"] - before["websockets"], after["requests"] - before["requests"]) == (1, 0)


def test_an_exception_of_the_server_means_that_the_client_vanished(lines: CapturedRequests) -> None:
    with pytest.raises(OSError, match="gone"):
        connect(talk, MESSAGE, broken=OSError("gone"))

    assert [line["outcome"] for line in lines] == ["aborted"]


def test_the_code_of_a_consumer_has_the_context(lines: CapturedRequests) -> None:
    async def body(receive: Any, send: Any) -> None:
        bind(room=7)
        logging.getLogger("shop").info("hello")
        await talk(receive, send)

    connect(body, left(1000))

    (line,) = lines
    assert line["room"] == 7
    assert (line["request_id"], line["client_ip"]) == ("ws-1", "127.0.0.1")
    assert line["parent_span_id"] == "b7ad6b7169203331"
    (inside,) = [log for log in lines.logs if log["logger"] == "shop"]
    assert (inside["request_id"], inside["path"], inside["room"]) == ("ws-1", "/chat/", 7)


def test_the_context_ends_with_the_connection(lines: CapturedRequests) -> None:
    found: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        pass

    async def server() -> None:
        await observed(application)(dict(SCOPE), None, None)
        found.append(current_event.get())

    asyncio.run(server())

    assert found == [None]
    assert len(lines) == 1


def test_settings_of_requests_hold_for_connections(lines: CapturedRequests) -> None:
    settings = {"EXCLUDE": ["^/chat/"], "TRUST_REQUEST_ID": False, "TRUSTED_PROXIES": 1, "SLOW_SECONDS": 1e-9}
    with override_settings(OBS_MIDDLEWARE=settings):
        connect(talk, left(1000))
        connect(talk, left(1006), headers=[*SCOPE["headers"], (b"x-forwarded-for", b"192.0.2.7")])

    (line,) = lines  # the first is excluded
    assert line["client_ip"] == "192.0.2.7"
    assert line["request_id"] != "ws-1"
    assert "slow" not in line


def test_a_scope_that_is_not_as_the_standard_says_is_served(lines: CapturedRequests) -> None:
    served: list[str] = []

    async def body(receive: Any, send: Any) -> None:
        served.append("yes")

    connect(body, headers=None)

    assert served == ["yes"]


def test_an_application_that_was_wrapped_twice_has_one_line(lines: CapturedRequests) -> None:
    messages = iter([{"type": "websocket.connect"}, left(1000)])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        pass

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await talk(receive, send)

    async def serve() -> None:
        await observed(observed(application))(dict(SCOPE), receive, send)

    asyncio.run(serve())

    assert [line["outcome"] for line in lines] == ["ok"]


def test_the_server_judges_the_messages_of_the_application() -> None:
    async def send(message: Any) -> None:
        raise ValueError("a message needs a type")

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"text": "hello"})

    async def serve() -> None:
        await observed(application)(dict(SCOPE), None, send)

    with pytest.raises(ValueError, match="needs a type"):
        asyncio.run(serve())
