"""`obs_middleware.logs.filters.FoldDjangoRequests`: no second line for what a request line says, and nothing lost."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from urllib.parse import quote

import django
import pytest
from conftest import Site
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client
from django.utils.log import log_response
from django.views import View
from django.views.decorators.csrf import csrf_protect
from endings.drivers import OURS, Visit, visit_asgi, visit_wsgi
from endings.drivers import site as site_of

from obs_middleware.logs.filters import FoldDjangoRequests
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.testing import CapturedRequests

BELOW = "testproject.middleware."
CSRF = "django.security.csrf"


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

    with site_of(
        (lambda request: HttpResponse()) if server == "wsgi" else async_view, [BELOW + "failing_outside", OURS]
    ):
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
    with site_of(lambda request: HttpResponse(), [BELOW + "failing_outside", OURS], OBS_MIDDLEWARE={"EXCLUDE": ["/"]}):
        visit_wsgi(Visit())

    assert lines == []
    assert [log["error_type"] for log in lines.logs] == ["RuntimeError"]


@pytest.mark.parametrize("how", ["own", "helper of Django"])
def test_an_error_of_the_application_with_a_status_is_written(how: str, site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        response = HttpResponse(status=503)
        if how == "own":
            extra = {"status_code": 503, "request": request}
            logging.getLogger("django.request").error("Bank %s is late", 7, extra=extra)
        else:
            log_response("Bank %s is late", 7, response=response, request=request)
        return response

    site.get(view)

    assert [of(line)[:2] for line in lines] == [(503, "error")]
    assert [(log["level"], log["message"]) for log in lines.logs] == [("error", "Bank 7 is late")]


@pytest.mark.parametrize("path", ["/über/", "/back\\slash/", "/\x1b[31m/", "/😀/"])
def test_a_path_that_django_escapes_is_told(path: str, site: Site, lines: CapturedRequests) -> None:
    site.get(lambda request, rest: HttpResponse(status=404), quote(path), route="<path:rest>")

    assert [line["status"] for line in lines] == [404]
    assert lines.logs == []


def test_a_record_of_another_status_is_written(site: Site, lines: CapturedRequests) -> None:
    """The view answers 200 for several requests, one of which was refused."""

    class Inner(View):
        def post(self) -> None:
            pass

    def view(request: HttpRequest) -> HttpResponse:
        assert Inner.as_view()(request).status_code == 405
        return HttpResponse()

    site.get(view)

    assert [of(line)[:2] for line in lines] == [(200, "ok")]
    assert [(log["level"], log["message"]) for log in lines.logs] == [("warning", "Method Not Allowed (GET): /")]


@pytest.mark.parametrize("status", [200, 404, 503])
def test_a_stream_that_is_lost_has_its_line_even_if_its_request_refers_to_it(
    status: int, lines: CapturedRequests, caplog: pytest.LogCaptureFixture, second: list[logging.LogRecord]
) -> None:
    def view(request: HttpRequest) -> StreamingHttpResponse:
        response = StreamingHttpResponse([b"never read"], status=status)
        request.response = response  # type: ignore[attr-defined]
        return response

    with site_of(view, [OURS]):
        visit_wsgi(Visit(take=0, close=False))
    for record in caplog.records:
        record.__dict__.pop("request", None)  # pytest keeps the records
    second.clear()
    gc.collect()

    assert [of(line)[:2] for line in lines] == [(status, "lost")]
    assert lines.logs == []


class Kept(logging.Handler):
    """Keeps the names of the loggers of what it writes."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.names: list[str] = []
        self.setFormatter(JSONFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.names.append(record.name)


@contextmanager
def attached(*handlers: logging.Handler, to: str = "") -> Iterator[None]:
    for handler in handlers:
        logging.getLogger(to).addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logging.getLogger(to).removeHandler(handler)


def missing(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=404)


def test_a_filter_that_is_added_later_still_decides_whether_the_line_is_seen() -> None:
    handler = Kept()
    handler.addFilter(FoldDjangoRequests())
    with attached(handler):
        Site("sync").get(missing)
        handler.addFilter(lambda record: record.name != "root")
        Site("sync").get(missing)
        Site("sync").get(missing)

    assert handler.names == ["root", "django.request", "django.request"]


def test_a_filter_that_was_bound_can_be_given_to_another_handler() -> None:
    """The other one is at WARNING, and the line does not reach it."""
    first, other = Kept(), Kept(logging.WARNING)
    first.addFilter(FoldDjangoRequests())
    with attached(first, other):
        Site("sync").get(missing)
        for one in first.filters:
            other.addFilter(one)
        Site("sync").get(missing)
        Site("sync").get(missing)

    assert first.names == ["root"] * 3
    assert other.names == ["django.request"] * 3


def test_a_record_that_waited_reaches_a_handler_that_only_handles() -> None:
    class Handling(logging.Handler):
        names: ClassVar[list[str]] = []

        def handle(self, record: logging.LogRecord) -> bool:
            if self.filter(record):
                self.names.append(record.name)
            return True

    def view(request: HttpRequest) -> HttpResponse:
        raise PermissionDenied

    handler = Handling(logging.WARNING)
    handler.addFilter(FoldDjangoRequests())
    with attached(handler):
        Site("sync").get(view)

    assert Handling.names == ["django.request"]


def test_two_handlers_that_share_a_filter_are_told_apart() -> None:
    """The line reaches one of them only, so the other gets Django's record."""
    shared = FoldDjangoRequests()
    every, warnings = Kept(), Kept(logging.WARNING)
    for handler in (every, warnings):
        handler.addFilter(shared)
    with attached(every, warnings):
        Site("sync").get(missing)

    assert (every.names, warnings.names) == (["root"], ["django.request"])


def test_a_filter_that_comes_later_still_decides_whether_the_line_is_seen() -> None:
    """The line is stopped there, so Django's record is not folded."""
    handler = Kept()
    handler.addFilter(FoldDjangoRequests())
    handler.addFilter(lambda record: record.name != "root")
    with attached(handler):
        Site("sync").get(missing)

    assert handler.names == ["django.request"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("the reason"), (500, "error", "ValueError", "the reason")),
        (SuspiciousOperation("the reason"), (400, "ok", "django.core.exceptions.SuspiciousOperation", "the reason")),
    ],
)
def test_a_failure_below_observed_alone_is_one_line(
    error: Exception, expected: tuple[Any, ...], lines: CapturedRequests
) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        raise error

    with site_of(view, []):
        visit_asgi(Visit(), outside=True)

    assert [of(line) for line in lines] == [expected]
    assert [line["level"] for line in lines] == ["error"]
    assert lines.logs == []


@pytest.mark.parametrize("observed", [False, True])
def test_of_two_exceptions_the_first_is_on_the_line_and_the_second_is_written(
    observed: bool, lines: CapturedRequests
) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        raise ValueError("first")

    with site_of(view, [BELOW + "failing_outside", OURS]):
        visit_asgi(Visit(), outside=observed)

    assert [of(line) for line in lines] == [(500, "error", "ValueError", "first")]
    assert [(log["logger"], log["error_type"]) for log in lines.logs] == [("django.request", "RuntimeError")]


def test_an_exception_that_came_through_the_middleware_is_told_once(lines: CapturedRequests) -> None:
    """Only then Django logs it after the line was written."""

    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    with site_of(view, [OURS, BELOW + "unmarked_failing"]):
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
    with site_of(view, [OURS]):
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
    log_response("late", response=HttpResponse(status=403), request=requests[0], logger=logging.getLogger(CSRF))

    assert "error_message" not in lines[0]
    assert [log["message"] for log in lines.logs] == ["late"]


def test_a_record_whose_text_cannot_be_made_is_left_to_its_handlers(site: Site, lines: CapturedRequests) -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise ValueError

    passed: list[bool] = []

    def view(request: HttpRequest) -> HttpResponse:
        record = logging.LogRecord(
            "django.security.csrf", logging.WARNING, django.__file__, 1, "%s", (Unprintable(),), None
        )
        record.request, record.status_code = request, 403
        handler = logging.Handler()
        handler.addFilter(FoldDjangoRequests())
        passed.append(bool(handler.filter(record)))
        return HttpResponse()

    site.get(view)

    assert passed == [True]
    assert "error_message" not in lines[0]
