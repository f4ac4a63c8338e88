"""`obs_middleware.logs.filters.FoldDjangoRequests`: no second line for what a request line says, and nothing lost."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from conftest import Site
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.views.decorators.csrf import csrf_protect
from endings.drivers import OURS, Visit, site, visit_asgi, visit_wsgi

from obs_middleware.logs.filters import FoldDjangoRequests
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.testing import CapturedRequests

BELOW = "testproject.middleware."


@pytest.fixture(name="second", autouse=True)
def _second() -> Iterator[list[logging.LogRecord]]:
    """What a second handler with the filter gets: it must not be told a thing that the first was not."""
    records: list[logging.LogRecord] = []

    class Second(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Second()
    handler.setFormatter(JSONFormatter())
    handler.addFilter(FoldDjangoRequests())
    logging.getLogger().addHandler(handler)
    yield records
    logging.getLogger().removeHandler(handler)


def of(line: dict[str, Any]) -> tuple[Any, ...]:
    return line["status"], line["outcome"], line.get("error_type"), line.get("error_message")


@pytest.mark.parametrize("server", ["wsgi", "asgi", "asgi observed"])
def test_an_exception_of_a_layer_above_is_written_where_the_line_has_not_got_it(
    server: str, lines: CapturedRequests, second: list[logging.LogRecord]
) -> None:
    async def async_view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    with site((lambda request: HttpResponse()) if server == "wsgi" else async_view, [BELOW + "failing_outside", OURS]):
        visit_wsgi(Visit()) if server == "wsgi" else visit_asgi(Visit(), outside="observed" in server)

    (line,) = lines
    if "observed" in server:
        assert of(line) == (500, "error", "RuntimeError", "outside")
        assert lines.logs == []
    else:
        assert of(line) == (200, "ok", None, None)
        assert [(log["error_type"], log["request_id"]) for log in lines.logs] == [("RuntimeError", line["request_id"])]
    assert [record.name for record in second] == ["root", *("django.request" for _ in lines.logs)]


def test_an_exception_of_a_layer_above_is_written_if_the_line_was_left_out(lines: CapturedRequests) -> None:
    with site(lambda request: HttpResponse(), [BELOW + "failing_outside", OURS], OBS_MIDDLEWARE={"EXCLUDE": ["/"]}):
        visit_wsgi(Visit())

    assert lines == []
    assert [log["error_type"] for log in lines.logs] == ["RuntimeError"]


def test_two_handlers_that_share_a_filter_are_told_apart() -> None:
    """The line reaches one of them only, so the other gets Django's record."""

    class Kept(logging.Handler):
        def __init__(self, level: int) -> None:
            super().__init__(level)
            self.names: list[str] = []
            self.setFormatter(JSONFormatter())
            self.addFilter(shared)

        def emit(self, record: logging.LogRecord) -> None:
            self.names.append(record.name)

    shared = FoldDjangoRequests()
    every, warnings = Kept(logging.NOTSET), Kept(logging.WARNING)
    root = logging.getLogger()
    for handler in (every, warnings):
        root.addHandler(handler)
    try:
        Site("sync").get(lambda request: HttpResponse(status=404))
    finally:
        for handler in (every, warnings):
            root.removeHandler(handler)

    assert (every.names, warnings.names) == (["root"], ["django.request"])


def test_a_filter_that_comes_later_still_decides_whether_the_line_is_seen() -> None:
    """The line is stopped there, so Django's record is not folded."""

    class Kept(logging.Handler):
        names: ClassVar[list[str]] = []

        def emit(self, record: logging.LogRecord) -> None:
            self.names.append(record.name)

    handler = Kept()
    handler.setFormatter(JSONFormatter())
    handler.addFilter(FoldDjangoRequests())
    handler.addFilter(lambda record: record.name != "root")
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        Site("sync").get(lambda request: HttpResponse(status=404))
    finally:
        root.removeHandler(handler)

    assert Kept.names == ["django.request"]


@pytest.mark.parametrize("observed", [False, True])
def test_of_two_exceptions_the_first_is_on_the_line_and_the_second_is_written(
    observed: bool, lines: CapturedRequests
) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        raise ValueError("first")

    with site(view, [BELOW + "failing_outside", OURS]):
        visit_asgi(Visit(), outside=observed)

    assert [of(line) for line in lines] == [(500, "error", "ValueError", "first")]
    assert [(log["logger"], log["error_type"]) for log in lines.logs] == [("django.request", "RuntimeError")]


def test_an_exception_that_came_through_the_middleware_is_told_once(lines: CapturedRequests) -> None:
    """Only then Django logs it after the line was written."""

    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    with site(view, [OURS, BELOW + "unmarked_failing"]):
        visit_asgi(Visit())

    assert [of(line) for line in lines] == [(500, "error", "RuntimeError", "unmarked")]
    assert lines.logs == []


def denied(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied("not you")


def suspicious(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation("not that")


@pytest.mark.parametrize(
    ("view", "refusal"),
    [
        (denied, (403, "ok", "django.core.exceptions.PermissionDenied", "not you")),
        (suspicious, (400, "ok", "django.core.exceptions.SuspiciousOperation", "not that")),
    ],
)
@pytest.mark.parametrize("policy", [{}, {"SAMPLE_RATE": 0.0}, {"EXCLUDE": ["/"]}, {"QUIET": ["/"]}])
def test_a_refusal_is_on_the_line_which_is_written_whatever_the_policy_says(
    policy: dict[str, Any], view: Any, refusal: Any, site: Site, lines: CapturedRequests
) -> None:
    for _ in range(2):
        site.get(view, OBS_MIDDLEWARE=policy)

    assert [of(line) for line in lines] == [refusal] * 2
    assert lines.logs == []


@pytest.mark.parametrize("policy", [{}, {"SAMPLE_RATE": 0.0}])
@pytest.mark.parametrize("logger", ["django.request", "django.security.axes"])
@pytest.mark.parametrize("with_request", [False, True], ids=["alone", "with the request"])
def test_what_the_application_says_on_loggers_of_django_is_not_folded(
    policy: dict[str, Any], logger: str, with_request: bool, site: Site, lines: CapturedRequests
) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        logging.getLogger(logger).error("card refused", extra={"request": request} if with_request else {})
        return HttpResponse()

    site.get(view, OBS_MIDDLEWARE=policy)

    assert [(log["level"], log["logger"], log["message"]) for log in lines.logs] == [("error", logger, "card refused")]
    assert [of(line) for line in lines] == [(200, "ok", None, None)] * (not policy)


def test_the_reason_of_a_csrf_failure_is_on_the_line(lines: CapturedRequests) -> None:
    view = csrf_protect(lambda request: HttpResponse())
    with site(view, [OURS]):
        Client(enforce_csrf_checks=True).post("/", headers={"Origin": "https://evil.example"})

    (line,) = lines
    assert (line["status"], "error_type" in line) == (403, False)
    assert line["error_message"].startswith("Forbidden (Origin checking failed - https://evil.example")
    assert lines.logs == []


def test_what_is_said_when_the_line_is_out_is_written(lines: CapturedRequests) -> None:
    requests: list[HttpRequest] = []

    def view(request: HttpRequest) -> HttpResponse:
        requests.append(request)
        return HttpResponse()

    Site("sync").get(view)
    logging.getLogger("django.security.csrf").warning("late", extra={"request": requests[0], "status_code": 403})

    assert "error_message" not in lines[0]
    assert [log["message"] for log in lines.logs] == ["late"]


def test_a_record_whose_text_cannot_be_made_is_left_to_its_handlers(site: Site, lines: CapturedRequests) -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise ValueError

    passed: list[bool] = []

    def view(request: HttpRequest) -> HttpResponse:
        record = logging.LogRecord("django.security.csrf", logging.WARNING, __file__, 1, "%s", (Unprintable(),), None)
        record.request, record.status_code = request, 403
        handler = logging.Handler()
        handler.addFilter(FoldDjangoRequests())
        passed.append(bool(handler.filter(record)))
        return HttpResponse()

    site.get(view)

    assert passed == [True]
    assert "error_message" not in lines[0]
