"""Repeated queries (N+1): how often one statement ran in a request, and the place in the application that ran it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from conftest import Site
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection, connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.test import AsyncClient, override_settings
from django.urls import path
from rest_framework import serializers

from obs_middleware import carry
from obs_middleware.measure import database
from obs_middleware.testing import CapturedRequests
from obs_middleware.work import unit
from obs_middleware.work.unit import WorkEvent

pytestmark = [pytest.mark.django_db(databases=["default", "other"]), pytest.mark.usefixtures("without_debug_mode")]

FEW = 12


@pytest.fixture(autouse=True)
def _permissions(db: None) -> None:
    """Permissions, each of which has a content type, and more than one kind of them."""
    assert Permission.objects.count() > FEW


def app_label(permission: Permission) -> str:
    return permission.content_type.app_label


def serialized() -> list[str]:
    return [app_label(permission) for permission in Permission.objects.order_by("pk")[:FEW]]


def place(line: dict[str, Any]) -> str:
    """Return the place of *line* without the number of the line."""
    return re.sub(r":\d+ ", ": ", line["db_repeated_at"])


HERE = "tests/measure/test_repeats.py:"


def test_a_function_that_serializes_is_the_place(site: Site, lines: CapturedRequests) -> None:
    site.get(lambda request: JsonResponse(serialized(), safe=False))

    (line,) = lines
    assert (line["db_queries"], line["db_repeats"]) == (FEW + 1, FEW)
    assert place(line) == f"{HERE} in app_label"
    number = int(line["db_repeated_at"].split(":")[1].split()[0])
    assert "permission.content_type.app_label" in Path(__file__).read_text().splitlines()[number - 1]


def test_prefetching_ends_it(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        for permission in Permission.objects.select_related("content_type")[:FEW]:
            app_label(permission)
        for permission in Permission.objects.prefetch_related("content_type")[:FEW]:
            app_label(permission)
        return HttpResponse()

    site.get(view)

    (line,) = lines
    assert line["db_queries"] == 3
    assert not {"db_repeats", "db_repeated_at"} & set(line)


def test_a_few_repeats_have_no_place(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        for _ in range(9):
            User.objects.count()
        return HttpResponse()

    site.get(view)

    assert lines[0]["db_repeats"] == 9
    assert "db_repeated_at" not in lines[0]


def test_the_setting_says_how_many_are_too_many(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        for _ in range(3):
            User.objects.count()
        return HttpResponse()

    site.get(view, OBS_MIDDLEWARE={"REPEATED_QUERIES": 3})
    site.get(view, OBS_MIDDLEWARE={"REPEATED_QUERIES": None})
    site.get(view)

    assert lines[0]["db_repeated_at"].startswith(HERE)
    assert not {"db_repeats", "db_repeated_at"} & set(lines[1])
    assert lines[1]["db_queries"] == 3
    assert set(lines[2]) & {"db_repeats", "db_repeated_at"} == {"db_repeats"}


class PermissionSerializer(serializers.ModelSerializer):  # type: ignore[misc]  # it has no types
    label = serializers.SerializerMethodField()

    class Meta:  # noqa: D106 -- the form of rest_framework
        model = Permission
        fields = ("label",)

    def get_label(self, permission: Permission) -> str:
        return str(permission.content_type.model)


class PlainSerializer(serializers.ModelSerializer):  # type: ignore[misc]  # as above
    app = serializers.CharField(source="content_type.app_label")

    class Meta:  # noqa: D106 -- the form of rest_framework
        model = Permission
        fields = ("app",)


def test_a_method_of_a_serializer_of_rest_framework_is_the_place(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return JsonResponse(PermissionSerializer(Permission.objects.all()[:FEW], many=True).data, safe=False)

    site.get(view)

    assert place(lines[0]) == f"{HERE} in PermissionSerializer.get_label"


def test_a_serializer_without_methods_has_the_place_of_the_view(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return JsonResponse(PlainSerializer(Permission.objects.all()[:FEW], many=True).data, safe=False)

    site.get(view)

    assert (lines[0]["db_repeats"], place(lines[0])) == (FEW, f"{HERE} in {view.__qualname__}")


def test_a_line_of_a_template_is_the_place(site: Site, lines: CapturedRequests, tmp_path: Path) -> None:
    (tmp_path / "list.html").write_text(
        "<ul>\n{% for one in permissions %}\n<li>{{ one.content_type.model }}{% endfor %}"
    )
    templates = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}]

    def view(request: HttpRequest) -> HttpResponse:
        return render(request, "list.html", {"permissions": Permission.objects.all()[:FEW]})

    site.get(view, TEMPLATES=templates, BASE_DIR=tmp_path)

    assert lines[0]["db_repeated_at"] == "list.html:3 in template"


class Label:
    def __init__(self, permission: Permission) -> None:
        self._permission = permission

    @property
    def text(self) -> str:
        return str(self._permission.content_type)


def test_a_property_is_the_place(site: Site, lines: CapturedRequests) -> None:
    site.get(lambda request: HttpResponse([Label(one).text for one in Permission.objects.all()[:FEW]]))

    assert place(lines[0]) == f"{HERE} in Label.text"


# Async


async def types() -> AsyncIterator[ContentType]:
    async for permission in Permission.objects.all()[:FEW]:
        async for kind in ContentType.objects.filter(pk=permission.content_type_id):
            yield kind


async def iterate(request: HttpRequest) -> HttpResponse:
    async for _ in types():
        pass
    return HttpResponse()


async def get_each(request: HttpRequest) -> HttpResponse:
    for _ in range(FEW):
        await User.objects.filter(pk=1).afirst()
    return HttpResponse()


async def gather_all(request: HttpRequest) -> HttpResponse:
    await asyncio.gather(*(User.objects.acount() for _ in range(FEW)))
    return HttpResponse()


async def in_threads(request: HttpRequest) -> HttpResponse:
    await sync_to_async(serialized)()
    return HttpResponse()


@pytest.mark.parametrize(
    ("view", "name"),
    [(iterate, "types"), (get_each, "get_each"), (gather_all, "gather_all"), (in_threads, "app_label")],
    ids=["async for", "await", "gather", "sync_to_async"],
)
def test_the_async_orm_has_the_place_of_the_coroutine(
    view: Callable[..., Any], name: str, lines: CapturedRequests
) -> None:
    """The thread that runs the query has no frame of the application."""
    Site("async").get(view)

    assert (lines[0]["db_repeats"], place(lines[0])) == (FEW, f"{HERE} in {name}")


def test_an_async_view_under_wsgi_has_a_place(lines: CapturedRequests) -> None:
    Site("sync").get(get_each)

    assert place(lines[0]) == f"{HERE} in get_each"


def test_a_stream_has_the_place_of_its_generator(lines: CapturedRequests) -> None:
    async def parts() -> AsyncIterator[bytes]:
        async for kind in types():
            yield kind.model.encode()

    async def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(parts())

    async def visit() -> None:
        response: Any = await AsyncClient().get("/")
        assert [part async for part in response.streaming_content]

    with override_settings(ROOT_URLCONF=type("urls", (), {"urlpatterns": [path("", view)]})):
        async_to_sync(visit)()

    assert place(lines[0]) == f"{HERE} in types"


# Other ways to run a statement


def test_statements_with_their_values_inside_are_one(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        with connection.cursor() as cursor:
            for number in range(FEW):
                cursor.execute(f"SELECT name FROM auth_permission WHERE id = {number} AND name <> 'n{number}'")
        return HttpResponse()

    site.get(view)

    assert (lines[0]["db_repeats"], place(lines[0])) == (FEW, f"{HERE} in {view.__qualname__}")


def test_raw_models_and_lists_of_any_length_are_one_statement(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        for number in range(1, FEW):
            list(User.objects.raw(f"SELECT * FROM auth_user WHERE id = {number}"))
            list(Group.objects.filter(pk__in=range(number)))
        return HttpResponse()

    site.get(view)

    assert lines[0]["db_queries"] == 2 * (FEW - 1)
    assert lines[0]["db_repeats"] == FEW - 1


def test_many_rows_by_executemany_are_one_query(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        with connection.cursor() as cursor:
            cursor.executemany("UPDATE auth_user SET email = %s", [(str(number),) for number in range(100)])
            cursor.executemany("UPDATE auth_user SET email = %s", [("x",)])
        return HttpResponse()

    site.get(view)

    assert lines[0]["db_repeats"] == 2


def test_each_alias_counts_for_itself(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        for _ in range(5):
            User.objects.count()
            User.objects.using("other").count()
        User.objects.using("other").count()
        return HttpResponse()

    site.get(view)

    assert (lines[0]["db_queries"], lines[0]["db_repeats"]) == (11, 6)


def test_savepoints_around_a_statement_are_not_what_repeats(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        with transaction.atomic():
            for number in range(FEW):
                with transaction.atomic():
                    User.objects.filter(pk=number).update(email="")
            for _ in range(20):
                with transaction.atomic():
                    pass
        return HttpResponse()

    site.get(view)

    assert lines[0]["db_queries"] > 3 * FEW
    assert lines[0]["db_repeats"] == FEW


def test_a_statement_that_fails_counts(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        for _ in range(FEW):
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute("SELECT * FROM nowhere")
            except Exception:  # noqa: BLE001 -- it is the point of the test
                pass
        return HttpResponse()

    site.get(view)

    assert lines[0]["db_repeats"] == FEW


def test_neither_text_nor_parameters_are_on_the_line(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        for _ in range(FEW):
            User.objects.filter(username="hunter2").exists()
            list(User.objects.raw("SELECT * FROM auth_user WHERE username = 'swordfish'"))
        return HttpResponse()

    site.get(view)

    assert not re.search(r"hunter2|swordfish|SELECT|auth_user", str(lines))


def test_a_failure_in_the_search_does_not_reach_the_application(
    site: Site, lines: CapturedRequests, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("of the test")

    monkeypatch.setattr("obs_middleware.measure.statements.place_of", fail)
    response = site.get(lambda request: JsonResponse(serialized(), safe=False))

    assert response.status_code == 200
    assert lines[0]["db_repeats"] == FEW
    assert "measure_query failed" in caplog.text


def test_queries_without_the_connection_of_django_are_run(caplog: pytest.LogCaptureFixture) -> None:
    """A library may call the wrappers itself."""
    event = WorkEvent("task", "Task", {})
    unit.begin(event)
    try:
        assert database.measure_query(lambda *_: "rows", "SELECT 1", (), False, {}) == "rows"
    finally:
        unit.end(event)

    assert "measure_query failed" in caplog.text


# Threads, tasks and commands


def test_threads_of_the_request_count_together(site: Site, lines: CapturedRequests) -> None:
    def work(number: int) -> None:
        connection = connections.create_connection("default")
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {number}")
        connection.connection.close()

    def view(request: HttpRequest) -> HttpResponse:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(carry(work), range(FEW)))
        return HttpResponse()

    site.get(view)

    assert (lines[0]["db_repeats"], place(lines[0])) == (FEW, f"{HERE} in {work.__qualname__}")


def test_other_work_counts_too(lines: CapturedRequests) -> None:
    """Tasks and commands may run for days, so nothing of theirs grows."""
    event = WorkEvent("task", "Task", {"task": "shop.tasks.send"})
    unit.begin(event)
    serialized()
    unit.end(event)

    line = event.line()
    assert (line["db_repeats"], place(line)) == (FEW, f"{HERE} in app_label")


# PostgreSQL


def test_server_side_cursors_of_postgresql_count(mode: str, pg: str, lines: CapturedRequests) -> None:
    def work() -> None:
        with transaction.atomic(using=pg):
            for _ in range(FEW):
                kinds = ContentType.objects.using(pg).raw("SELECT 1 AS id, 'a' AS app_label, 'b' AS model")
                assert len(list(kinds.iterator())) == 1
                list(kinds)

    def view(request: HttpRequest) -> HttpResponse:
        work()
        return HttpResponse()

    Site(mode).get(view)

    assert lines[0]["db_repeats"] == 2 * FEW
    assert place(lines[0]) == f"{HERE} in {work.__qualname__}"


def test_the_async_orm_on_postgresql_has_a_place(pg: str, lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        for _ in range(FEW):
            async for _ in ContentType.objects.using(pg).raw("SELECT 1 AS id, 'a' AS app_label, 'b' AS model"):
                pass
        return HttpResponse()

    Site("async").get(view)

    assert place(lines[0]) == f"{HERE} in {view.__qualname__}"
