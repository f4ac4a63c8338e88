"""`obs_middleware.carry`, and the setting ``THREADS``: each way into a thread, and no stale request in a pool."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from multiprocessing.pool import ThreadPool
from typing import Any, Final

import psycopg_pool
import pytest
from asgiref.sync import sync_to_async
from conftest import Site
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from needs import FORK
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from queued import PATIENCE, forking
from sentry_sdk.worker import BackgroundWorker

from obs_middleware import annotate, bind, carry, get_request_id, timed
from obs_middleware.measure.event import Event, current_event
from obs_middleware.testing import CapturedRequests
from obs_middleware.work.threads import _serves_many
from obs_middleware.work.unit import WorkEvent

Submit = Callable[[Callable[..., Any]], Any]


@pytest.fixture(name="carrying")
def _carrying() -> Iterator[None]:
    with override_settings(OBS_MIDDLEWARE={"THREADS": True}):
        yield


@pytest.fixture(name="executor")
def _executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def begin(name: str | None) -> Event | None:
    """Let this context be that of the request *name*, or of none."""
    event = None if name is None else Event(0.0, name, "GET", "/")
    current_event.set(event)
    return event


def in_thread(start: Callable[[Callable[[], None]], threading.Thread]) -> str | None:
    seen: list[str | None] = []
    thread = start(lambda: seen.append(get_request_id()))
    thread.start()
    thread.join(PATIENCE)
    (found,) = seen
    return found


class Overridden(threading.Thread):
    """A thread that does its work in `run`, as many classes do."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__()
        self.work = work

    def run(self) -> None:
        self.work()


# One function


def test_a_carried_function_is_inside_the_request_that_carried_it(executor: ThreadPoolExecutor) -> None:
    begin("mine")
    mine = carry(get_request_id)
    begin("another")

    assert executor.submit(mine).result() == "mine"
    assert executor.submit(get_request_id).result() is None  # the thread is left as it was
    assert mine() == "mine"
    assert get_request_id() == "another"


def test_a_carried_function_may_run_in_several_threads_at_once() -> None:
    together = threading.Barrier(3)

    def work(number: int) -> tuple[int, str | None]:
        together.wait(PATIENCE)
        return number, get_request_id()

    begin("mine")
    with ThreadPoolExecutor(3) as executor:
        assert [*executor.map(carry(work), range(3))] == [(0, "mine"), (1, "mine"), (2, "mine")]


def test_what_a_carried_function_says_is_on_the_line(site: Site, lines: CapturedRequests) -> None:
    def work() -> None:
        bind(cart=7)
        with timed("parcel"):
            annotate(parcels=2)

    def view(request: HttpRequest) -> HttpResponse:
        thread = threading.Thread(target=carry(work))
        thread.start()
        thread.join(PATIENCE)
        return HttpResponse()

    site.get(view)

    assert {name: lines[0][name] for name in ("cart", "parcels", "parcel_count")} == {
        "cart": 7,
        "parcels": 2,
        "parcel_count": 1,
    }


def test_a_carried_function_keeps_its_name_its_result_and_its_exception() -> None:
    def divide(number: int, by: int) -> float:
        """Divide."""
        return number / by

    begin("mine")
    carried = carry(divide)

    assert (carried.__name__, carried.__doc__, carried(6, by=3)) == ("divide", "Divide.", 2)
    with pytest.raises(ZeroDivisionError):
        carried(1, 0)
    assert get_request_id() == "mine"


def test_a_coroutine_function_is_carried_while_it_is_awaited() -> None:
    async def work() -> str | None:
        await asyncio.sleep(0)
        return get_request_id()

    begin("mine")
    carried = carry(work)
    begin("another")

    assert asyncio.iscoroutinefunction(carried)
    assert asyncio.run(carried()) == "mine"
    assert get_request_id() == "another"


def test_outside_a_request_nothing_is_carried() -> None:
    begin(None)
    carried = carry(get_request_id)
    begin("another")

    assert carried() is None


# The setting

STARTS: Final[dict[str, Callable[[Callable[[], None]], threading.Thread]]] = {
    "Thread": lambda work: threading.Thread(target=work),
    "a subclass": Overridden,
    "Timer": lambda work: threading.Timer(0.001, work),
}


@pytest.mark.parametrize("name", STARTS)
def test_a_thread_is_inside_the_request_that_starts_it(name: str, carrying: None) -> None:
    begin("mine")
    assert in_thread(STARTS[name]) == "mine"
    begin(None)
    assert in_thread(STARTS[name]) is None


@pytest.mark.parametrize("name", STARTS)
def test_without_the_setting_nothing_is_carried(name: str, executor: ThreadPoolExecutor) -> None:
    begin("mine")

    assert in_thread(STARTS[name]) is None
    assert executor.submit(get_request_id).result() is None


def in_pool(pool: ThreadPool) -> list[str | None]:
    def read(*_: int) -> str | None:
        return get_request_id()

    return [
        pool.apply(read),
        pool.apply_async(read).get(PATIENCE),
        *pool.map(read, [1]),
        *pool.map_async(read, [1]).get(PATIENCE),
        *pool.starmap(read, [(1, 2)]),
        *pool.starmap_async(read, [(1, 2)]).get(PATIENCE),
        *pool.imap(read, [1]),
        *pool.imap_unordered(func=read, iterable=[1]),
    ]


def test_a_pool_never_keeps_the_request_that_started_its_threads(carrying: None) -> None:
    begin("first")
    with ThreadPool(1) as pool, ThreadPoolExecutor(1) as executor:
        for name in ("first", "second", None):
            begin(name)

            assert executor.submit(get_request_id).result() == name
            assert [*executor.map(lambda _: get_request_id(), [1, 2])] == [name, name]
            assert in_pool(pool) == [name] * 8


def test_the_threads_of_a_pool_are_outside_of_any_request(carrying: None) -> None:
    """Initializers and callbacks run there, between the functions of all requests."""
    seen: list[str | None] = []
    done = threading.Event()

    def note(*_: Any) -> None:
        seen.append(get_request_id())

    begin("first")
    with ThreadPool(1, initializer=note) as pool, ThreadPoolExecutor(1, initializer=note) as executor:
        executor.submit(int).result()
        pool.apply_async(int, callback=lambda _: (note(), done.set()))  # type: ignore[func-returns-value]
        assert done.wait(PATIENCE)

    assert seen == [None] * 3


def test_the_threads_of_libraries_that_serve_all_requests_keep_none(carrying: None) -> None:
    """Django's pool of database connections and Sentry start theirs in the first request that needs them."""
    before = set(threading.enumerate())
    begin("first")
    sender = BackgroundWorker()
    spans = BatchSpanProcessor(InMemorySpanExporter())
    with psycopg_pool.ConnectionPool("host=127.0.0.1", min_size=0, max_size=1, open=True):
        sender.start()

        started = set(threading.enumerate()) - before
        assert len(started) >= 4
        assert [thread for thread in started if not _serves_many(thread)] == []
    sender.kill()
    spans.shutdown()  # type: ignore[no-untyped-call]


@forking
def test_the_thread_of_a_pool_of_processes_keeps_no_request(carrying: None) -> None:
    """The first call starts it, and it runs the callbacks of all later ones."""
    begin("first")
    with concurrent.futures.ProcessPoolExecutor(1) as executor:
        executor.submit(os.getpid).result(PATIENCE)

        manager: Any = executor._executor_manager_thread
        assert _serves_many(manager)


@FORK
@forking
@pytest.mark.parametrize(("kind", "kept"), [("request", False), ("task", False), ("command", True)])
def test_a_process_that_is_forked_keeps_only_the_command(kind: str, kept: bool) -> None:
    """A pool that a request starts serves others later. All processes of a command end with it."""
    event = begin("first") if kind == "request" else WorkEvent(kind, "Work", {}, "first")
    current_event.set(event)
    child = os.fork()
    if not child:
        os._exit(get_request_id() == "first")

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == kept


async def _several_ways() -> list[str | None]:
    loop = asyncio.get_running_loop()
    return [
        await loop.run_in_executor(None, get_request_id),
        await asyncio.to_thread(get_request_id),
        await sync_to_async(get_request_id)(),
        await sync_to_async(get_request_id, thread_sensitive=False)(),
    ]


def test_the_executor_of_an_event_loop_runs_functions_inside_the_request(carrying: None) -> None:
    async def main() -> None:
        for name in ("first", "second"):
            begin(name)
            assert await _several_ways() == [name] * 4

    asyncio.run(main())


def test_functions_that_bring_their_own_context_are_not_wrapped(
    carrying: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both asgiref and asyncio copy the context already, so `sync_to_async` costs no call more."""
    submitted = []
    work_item = concurrent.futures.thread._WorkItem

    class Noting(work_item):  # type: ignore[misc, valid-type]  # as above
        def __init__(self, future: Any, fn: Any, *args: Any) -> None:
            submitted.append(getattr(fn.func, "__name__", None))
            super().__init__(future, fn, *args)

    monkeypatch.setattr(concurrent.futures.thread, "_WorkItem", Noting)
    begin("mine")

    asyncio.run(_several_ways())

    assert submitted == ["run_inside", "run", "thread_handler", "thread_handler"]


def test_only_the_request_is_carried(carrying: None) -> None:
    """
    With the whole context, ``sync_to_async`` in a thread would use the thread of the request.

    That one may be waiting for this thread, and it is gone when the request is over.
    """
    other: ContextVar[int] = ContextVar("other", default=0)

    def work() -> tuple[str | None, int, str]:
        return get_request_id(), other.get(), asyncio.run(sync_to_async(threading.current_thread)()).name

    seen: list[Any] = []

    def view(request: HttpRequest) -> HttpResponse:
        other.set(1)
        thread = threading.Thread(target=lambda: seen.append(work()), daemon=True)
        thread.start()
        thread.join(PATIENCE)
        seen.append(threading.current_thread().name)
        return HttpResponse()

    Site("async").get(view, OBS_MIDDLEWARE={"THREADS": True})

    (request_id, value, name), of_the_view = seen
    assert request_id is not None
    assert value == 0
    assert name != of_the_view


def test_a_thread_that_could_not_start_may_be_started_again(carrying: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("can't start new thread")

    seen: list[str | None] = []
    thread = threading.Thread(target=lambda: seen.append(get_request_id()))
    begin("first")
    name = "_start_joinable_thread" if sys.version_info >= (3, 13) else "_start_new_thread"
    with monkeypatch.context() as patched:
        patched.setattr(threading, name, full)
        with pytest.raises(RuntimeError, match="can't start"):
            thread.start()
    begin("second")
    thread.start()
    thread.join(PATIENCE)

    assert seen == ["second"]


def test_a_thread_that_refuses_attributes_starts(carrying: None) -> None:
    class Frozen(threading.Thread):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "run":
                raise AttributeError(name)
            super().__setattr__(name, value)

    begin("first")
    seen: list[int] = []
    thread = Frozen(target=lambda: seen.append(1))
    thread.start()
    thread.join(PATIENCE)

    assert seen == [1]


def test_a_thread_keeps_neither_itself_nor_its_request(carrying: None) -> None:
    """Otherwise both wait for the garbage collector, and a site may start many."""
    begin("mine")
    thread = threading.Thread(target=int)
    thread.start()
    thread.join(PATIENCE)

    assert "run" not in vars(thread)


@pytest.mark.parametrize("sentry_first", [True, False])
def test_sentry_may_wrap_threads_too(sentry_first: bool) -> None:
    """It takes the function of ``Thread.run`` and calls it with the thread."""
    code = f"""
import sys, threading, sentry_sdk
from sentry_sdk.integrations.threading import ThreadingIntegration
from obs_middleware.measure.context import get_request_id
from obs_middleware.measure.event import Event, current_event
from obs_middleware.work.threads import install

for step in ["sentry", "ours"] if {sentry_first} else ["ours", "sentry"]:
    if step == "ours":
        install()
    else:
        sentry_sdk.init(integrations=[ThreadingIntegration(propagate_scope=True)], default_integrations=False)
current_event.set(Event(0.0, "mine", "GET", "/"))
class Overridden(threading.Thread):
    def run(self):
        print(get_request_id())
for thread in threading.Thread(target=lambda: print(get_request_id())), Overridden():
    thread.start()
    thread.join()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.stdout.split(), done.stderr) == (["mine", "mine"], "")


def test_under_gevent_each_greenlet_of_a_pool_has_its_request() -> None:
    """A greenlet has the context of the one that spawned it, so a pool would keep its first request."""
    code = """
from gevent import monkey
monkey.patch_all()
import threading
from concurrent.futures import ThreadPoolExecutor
from obs_middleware.measure.context import get_request_id
from obs_middleware.measure.event import Event, current_event
from obs_middleware.work.threads import install

install()
executor = ThreadPoolExecutor(1)
for name in ("first", "second", None):
    current_event.set(name and Event(0.0, name, "GET", "/"))
    thread = threading.Thread(target=lambda: print(get_request_id()))
    thread.start()
    thread.join()
    print(executor.submit(get_request_id).result())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert (done.stdout.split(), done.stderr) == (["first", "first", "second", "second", "None", "None"], "")


def test_the_originals_come_back() -> None:
    before = (threading.Thread.start, ThreadPoolExecutor.submit, ThreadPool.map, "map" in vars(ThreadPool))
    for _ in range(2):
        with override_settings(OBS_MIDDLEWARE={"THREADS": True}):
            once = threading.Thread.start
            assert once is not before[0]
            with override_settings(OBS_MIDDLEWARE={"THREADS": True}):
                assert threading.Thread.start is once  # not wrapped twice
        assert (threading.Thread.start, ThreadPoolExecutor.submit, ThreadPool.map, "map" in vars(ThreadPool)) == before


def test_what_another_package_wraps_later_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with override_settings(OBS_MIDDLEWARE={"THREADS": True}):
        ours = threading.Thread.start

        @functools.wraps(ours)
        def theirs(self: threading.Thread) -> None:
            ours(self)

        monkeypatch.setattr(threading.Thread, "start", theirs)
    assert threading.Thread.start is theirs
    monkeypatch.undo()
    with override_settings(OBS_MIDDLEWARE={}):
        assert threading.Thread.start is not ours
