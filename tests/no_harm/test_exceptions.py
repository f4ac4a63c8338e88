"""The middleware swallows, alters and raises no exception."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.core.signals import got_request_exception, request_finished, request_started
from django.http import Http404, HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from endings.drivers import Visit
from no_harm import props
from no_harm.world import World, stream

RAISED: dict[str, type[Exception]] = {
    "404": Http404,
    "403": PermissionDenied,
    "400": BadRequest,
    "suspicious": SuspiciousOperation,
    "bug": ValueError,
}


class Signals:
    """The signals of Django's request handling, in the order in which they were sent."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._receivers = {
            signal: self._note(name)
            for name, signal in (
                ("started", request_started),
                ("exception", got_request_exception),
                ("finished", request_finished),
            )
        }

    def _note(self, name: str) -> Any:
        return lambda **_: self.names.append(name)

    def __enter__(self) -> list[str]:
        for signal, receiver in self._receivers.items():
            signal.connect(receiver)
        return self.names

    def __exit__(self, *_: object) -> None:
        for signal, receiver in self._receivers.items():
            signal.disconnect(receiver)


@pytest.mark.parametrize("kind", RAISED.values(), ids=RAISED)
def test_an_exception_of_the_view_is_answered_as_without_it(world: World, kind: type[Exception]) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        raise kind("no good")

    bare, judged = world.compare(world.view(view))

    assert judged == bare


@pytest.mark.parametrize("what", ["fine", "bug", "nothing", "layer"])
def test_the_signals_of_a_request_are_sent_as_often_as_without_it(world: World, what: str) -> None:
    def view(request: HttpRequest) -> Any:
        if what == "bug":
            raise ValueError("no good")
        return None if what == "nothing" else HttpResponse()

    sent = []
    for judged in (False, True):
        with Signals() as names:
            world.visit(world.view(view), judged=judged, below=["no_harm.props.Failing"] if what == "layer" else [])
        sent.append(names)

    assert sent[0] == sent[1]
    assert sent[1].count("finished") == 1


def test_an_exception_of_a_layer_below_is_answered_as_without_it(world: World) -> None:
    bare, judged = world.compare(world.view(lambda request: HttpResponse()), below=["no_harm.props.Failing"])

    assert judged == bare
    assert judged.status == 500


def test_a_propagated_exception_is_the_one_that_was_raised(world: World) -> None:
    cause = KeyError("cause")
    error = ValueError("no good", 1)
    error.add_note("noted")

    def view(request: HttpRequest) -> HttpResponse:
        raise error from cause

    with pytest.raises(ValueError, match="no good") as caught:
        world.visit(world.view(view), DEBUG_PROPAGATE_EXCEPTIONS=True)

    assert caught.value is error
    assert (error.args, error.__cause__, error.__context__, error.__notes__) == (
        ("no good", 1),
        cause,
        None,
        ["noted"],
    )


def test_the_test_client_raises_what_the_view_raised(mode: str) -> None:
    world = World(mode)
    world.client = (Client if mode == "sync" else AsyncClient)(raise_request_exception=True)
    error = ValueError("no good")

    def view(request: HttpRequest) -> HttpResponse:
        raise error

    with pytest.raises(ValueError, match="no good") as caught:
        world.visit(world.view(view))

    assert caught.value is error


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_that_ends_the_process_passes_unchanged(kind: type[BaseException]) -> None:
    world = World("sync")
    error = kind("stop")

    def view(request: HttpRequest) -> HttpResponse:
        raise error

    visit = world.serve(view, Visit())

    assert visit.raised is error


def test_a_request_whose_client_has_left_is_cancelled() -> None:
    """The cancellation reaches the view once, and the layer above unchanged."""
    world = World("async")
    cancelled: list[BaseException] = []

    async def view(request: HttpRequest) -> HttpResponse:
        visits[-1].leave()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            cancelled.append(error)
            raise
        raise AssertionError  # pragma: no cover -- nobody sets the event

    ends = []
    visits = []
    for judged in (False, True):
        visits.append(Visit())
        world.serve(view, visits[-1], judged=judged, above=["no_harm.props.Probe"])
        ends.append((type(visits[-1].raised), visits[-1].messages, [type(one) for one in props.seen]))

    assert ends[0] == ends[1]
    assert ends[1][2] == [asyncio.CancelledError]
    assert len(cancelled) == 2


def test_the_answer_of_a_view_to_a_cancellation_is_kept() -> None:
    world = World("async")
    visit = Visit()

    async def view(request: HttpRequest) -> HttpResponse:
        visit.leave()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return HttpResponse("after all")

    world.serve(view, visit, above=["no_harm.props.Probe"])

    assert [one.content for one in props.seen] == [b"after all"]


def test_a_stream_that_fails_raises_the_same_exception(world: World) -> None:
    error = ValueError("in the stream")

    visit = world.serve(stream(world, [b"one"], [], error), Visit())

    assert visit.raised is error or error in getattr(visit.raised, "exceptions", ())
    assert visit.content == b"one"


def test_an_abandoned_stream_ends_as_without_it(world: World) -> None:
    """The generator is cleaned up, and the server sees the same end."""
    ends = []
    for judged in (False, True):
        log: list[Any] = []
        visit = world.serve(stream(world, [b"one", b"two", b"three"], log), _broken_off(), judged=judged)
        ends.append((log, type(visit.raised), visit.content))

    assert ends[0] == ends[1]
    assert ends[1][0][-1] == "cleaned up"


def _broken_off() -> Visit:
    """The client takes the first chunk and leaves."""
    return Visit(take=1, stall_send_at=2)


def test_the_next_request_after_a_failed_one_is_answered(world: World) -> None:
    calls = iter(range(4))

    def view(request: HttpRequest) -> HttpResponse:
        if next(calls) % 2 == 0:
            raise ValueError("no good")
        return HttpResponse("fine")

    with world.site(world.view(view), judged=True):
        statuses = [world.send().status for _ in range(4)]

    assert statuses == [500, 200, 500, 200]
