"""`obs_middleware.measure.database`: queries are counted and timed on every alias, in every thread and task."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from conftest import Site, respond
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError, connection, connections
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from obs_middleware.measure.database import install, measure_query
from obs_middleware.measure.event import Event, current_event
from obs_middleware.testing import CapturedRequests

both = pytest.mark.django_db(databases=["default", "other"])


@both
def test_queries_of_every_alias_are_counted_and_timed(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        list(User.objects.all())
        list(User.objects.using("other").all())
        User.objects.count()
        return HttpResponse()

    site.get(view)

    (line,) = lines
    assert line["db_queries"] == 3
    assert 0 < line["db_seconds"] < line["duration_seconds"]


@both
def test_the_async_orm_and_threads_and_tasks_of_the_request_are_counted(lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        await User.objects.acount()
        await asyncio.gather(User.objects.acount(), User.objects.using("other").acount())
        await asyncio.create_task(User.objects.acount())
        await sync_to_async(User.objects.count)()
        return HttpResponse()

    Site("async").get(view)

    assert lines[0]["db_queries"] == 5


def test_a_request_without_queries_has_a_count_of_zero(site: Site, lines: CapturedRequests) -> None:
    site.get(lambda request: HttpResponse())

    assert (lines[0]["db_queries"], lines[0]["db_seconds"]) == (0, 0)


@pytest.mark.django_db
def test_fields_that_are_not_measured_are_absent(site: Site, lines: CapturedRequests) -> None:
    site.get(lambda request: HttpResponse(User.objects.count()), OBS_MIDDLEWARE={"DATABASE": False})

    assert not {"db_queries", "db_seconds"} & set(lines[0])


@pytest.mark.django_db
def test_a_query_that_fails_is_counted_and_its_exception_unchanged(lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        with pytest.raises(DatabaseError, match="nowhere"), connection.cursor() as cursor:
            cursor.execute("SELECT * FROM nowhere")
        return HttpResponse()

    respond(view, RequestFactory().get("/"))

    assert lines[0]["db_queries"] == 1


@pytest.mark.django_db
def test_executemany_is_one_query(lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE numbers (n integer)")
            cursor.executemany("INSERT INTO numbers VALUES (%s)", [(1,), (2,), (3,)])
        return HttpResponse()

    respond(view, RequestFactory().get("/"))

    assert lines[0]["db_queries"] == 2


@pytest.mark.django_db
def test_queries_outside_a_request_are_not_counted() -> None:
    User.objects.count()

    assert current_event.get() is None


@pytest.mark.django_db
def test_neither_text_nor_parameters_of_a_query_are_on_the_line(lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        User.objects.filter(username="hunter2").exists()
        return HttpResponse()

    respond(view, RequestFactory().get("/"))

    assert "hunter2" not in str(lines)
    assert "SELECT" not in str(lines)


@pytest.fixture(name="fresh")
def _fresh(django_db_blocker: Any) -> Iterator[Any]:
    """A new connection to the default alias, not open yet."""
    with django_db_blocker.unblock():
        fresh = connections.create_connection("default")
        yield fresh
        # Django never closes a database in memory.
        fresh.connection.close()


def test_a_wrapper_of_the_application_is_left_intact(fresh: Any) -> None:
    """The end of its block removes this wrapper and no other, even if the connection was opened inside the block."""
    calls: list[str] = []

    def own(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        calls.append(sql)
        return execute(sql, params, many, context)

    with fresh.execute_wrapper(own):
        fresh.cursor().execute("SELECT 1")
        assert fresh.execute_wrappers == [measure_query, own]
    fresh.cursor().execute("SELECT 2")

    assert fresh.execute_wrappers == [measure_query]
    assert calls == ["SELECT 1"]


def test_a_connection_that_another_app_opened_earlier_is_counted_too(
    fresh: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.connect()
    fresh.execute_wrappers.clear()
    monkeypatch.setattr(connections, "all", lambda **_: [fresh])

    install()

    assert fresh.execute_wrappers == [measure_query]


def test_queries_after_the_line_are_not_kept(fresh: Any) -> None:
    """A task that outlives its request may run queries for ever."""
    event = Event(0.0, "the-id", "GET", "/")
    event.queries = []
    current_event.set(event)
    fresh.cursor().execute("SELECT 1")
    kept = len(event.queries)
    event.done = True
    fresh.cursor().execute("SELECT 1")

    assert len(event.queries) == kept > 0


def test_a_connection_that_is_opened_again_counts_once(fresh: Any, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        for _ in range(3):
            if fresh.connection is not None:
                fresh.connection.close()
            fresh.connect()
            fresh.cursor().execute("SELECT 1")
        return HttpResponse()

    respond(view, RequestFactory().get("/"))

    # At each connect, before the signal, Django runs a query to set SQLite up.
    assert lines[0]["db_queries"] >= 3
    assert fresh.execute_wrappers == [measure_query]


# PostgreSQL


def _sleep(alias: str, seconds: float) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


def test_postgresql_is_counted_and_timed(mode: str, pg: str, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        _sleep(pg, 0.05)
        _sleep(pg, 0.05)
        return HttpResponse()

    async def async_view(request: HttpRequest) -> HttpResponse:
        await sync_to_async(_sleep)(pg, 0.05)
        await sync_to_async(_sleep)(pg, 0.05)
        return HttpResponse()

    if mode == "sync":
        respond(view, RequestFactory().get("/"))
    else:

        async def visit() -> None:
            await respond(async_view, RequestFactory().get("/"))

        async_to_sync(visit)()

    (line,) = lines
    assert line["db_queries"] == 2
    assert 0.1 <= line["db_seconds"] <= line["duration_seconds"]


def test_threads_with_separate_connections_are_counted(pg: str, lines: CapturedRequests) -> None:
    def work() -> None:
        _sleep(pg, 0)
        connections[pg].close()

    def view(request: HttpRequest) -> HttpResponse:
        with ThreadPoolExecutor(3) as pool:
            for future in [pool.submit(copy_context().run, work) for _ in range(6)]:
                future.result()
        return HttpResponse()

    respond(view, RequestFactory().get("/"))

    assert lines[0]["db_queries"] == 6


def test_the_orm_on_postgresql_is_counted(pg: str, lines: CapturedRequests) -> None:
    call_command("migrate", "auth", database=pg, verbosity=0)

    async def view(request: HttpRequest) -> HttpResponse:
        await User.objects.using(pg).acount()
        await User.objects.using(pg).filter(username="u").aexists()
        return HttpResponse()

    async def visit() -> None:
        await respond(view, RequestFactory().get("/"))

    with override_settings(DEBUG=True):
        async_to_sync(visit)()

    assert lines[0]["db_queries"] == 2
