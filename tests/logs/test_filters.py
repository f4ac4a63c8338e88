"""`obs_middleware.logs.filters.RequestContextFilter`: our fields for the formatters of other packages."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import ecs_logging
import pytest
from conftest import Get, Site
from django.http import HttpRequest, HttpResponse
from hostile import EXAMPLES, explosion, lazy_user, names, values
from hypothesis import given, settings
from hypothesis import strategies as st
from loglines import written
from pythonjsonlogger.json import JsonFormatter
from pythonjsonlogger.msgspec import MsgspecFormatter
from pythonjsonlogger.orjson import OrjsonFormatter

from obs_middleware import bind
from obs_middleware.logs.filters import RequestContextFilter
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.measure.event import Event, current_event
from obs_middleware.testing import CapturedRequests, parse_line

logger = logging.getLogger("site")
FORMATTERS: dict[str, Callable[[], logging.Formatter]] = {
    "python-json-logger": lambda: JsonFormatter("{message}{levelname}{name}", style="{"),
    "python-json-logger with orjson": lambda: OrjsonFormatter("{message}{levelname}{name}", style="{"),
    "python-json-logger with msgspec": lambda: MsgspecFormatter("{message}{levelname}{name}", style="{"),
    "ecs-logging": ecs_logging.StdlibFormatter,
}
COLLIDING = {
    "error": "boom",
    "log": "str",
    "@timestamp": "never",
    "ecs": 1,
    "process": "p",
    "service": {"name": ["s"]},
    "trace": "t",
    "transaction": "u",
    "span": "v",
    "a": 1,
    "a.b": 2,
    "tree": {"c": 1, "c.d": 2, 5: 3},
    "name": "n",
    "message": "m",
}


@pytest.fixture(name="formatter", params=list(FORMATTERS))
def _formatter(request: pytest.FixtureRequest) -> logging.Formatter:
    return FORMATTERS[request.param]()


@pytest.fixture(name="printed")
def _printed(formatter: logging.Formatter, lines: CapturedRequests) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What the formatter prints, parsed; an error in it fails the test instead of being printed."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(RequestContextFilter())
    handler.handleError = fail  # type: ignore[method-assign]  # as documented for tests
    logging.getLogger().addHandler(handler)
    yield lambda: [parse_line(text) for text in stream.getvalue().splitlines()]
    assert "obs_middleware" not in {log["logger"] for log in lines.logs}


def fail(record: logging.LogRecord) -> None:
    raise  # noqa: PLE0704 -- the exception that the handler is handling


def test_a_published_formatter_prints_the_facts(printed: Any, site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        bind(tenant="t1")
        logger.info("inside")
        return HttpResponse("done")

    site.get(view)

    inside, line = printed()
    assert line["message"] == lines[0]["message"]
    for name in (
        "event_id",
        "request_id",
        "method",
        "path",
        "route",
        "status",
        "outcome",
        "duration_seconds",
        "tenant",
    ):
        assert line[name] == lines[0][name]
    assert (inside["request_id"], inside["tenant"]) == (lines[0]["request_id"], "t1")


def test_no_name_breaks_a_published_formatter(printed: Any, site: Site) -> None:
    """ecs-logging raises for a value under the name of one of its objects, and for `a` beside `a.b`."""

    def view(request: HttpRequest) -> HttpResponse:
        bind(**COLLIDING)
        logger.info("inside", extra={"tree.e": 1, "b.c": 2})
        bind(b=3)
        logger.info("inside again", extra={"b.c": 2})
        raise ValueError("no good")

    site.get(view)

    found = [line for line in printed() if "inside" in line["message"] or "took" in line["message"]]
    assert len(found) == 3
    for line in found:
        text = json.dumps(line)
        assert all(
            f'"app_{name}"' in text for name in ("error", "log", "@timestamp", "ecs", "trace", "name", "message")
        )
        assert (line["app_error"], line["a"], line["a_b"]) == ("boom", 1, 2)
    assert found[1]["app_b"] == 3


def test_no_value_breaks_a_published_formatter(printed: Any, site: Site) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        bind(nan=float("nan"), user=lazy_user(), many=explosion(), big=2**70, nul="a\0\ud800", keys={1: {2: b"x"}})
        return HttpResponse("done")

    site.get(view)

    line = printed()[-1]
    assert line["big"] == str(2**70)
    assert line["nul"] == "a\ufffd\ufffd"
    assert line["user"] == "<django.utils.functional.SimpleLazyObject>"
    assert line["truncated"] is True


def test_two_names_that_become_one_are_both_kept(lines: CapturedRequests) -> None:
    event = Event(0.0, "id", "GET", "/")
    event.say().bound.update({"name": 1, "app_name": 2})
    current_event.set(event)
    record = logging.makeLogRecord({"msg": "x"})

    for _ in range(2):  # as under two handlers
        assert RequestContextFilter().filter(record)

    assert (record.__dict__["app_name"], record.__dict__["app_name_2"]) == (2, 1)
    assert "app_name_3" not in record.__dict__


@pytest.mark.parametrize("name", FORMATTERS)
@settings(max_examples=EXAMPLES)
@given(bound=st.dictionaries(names, values, max_size=10), failing=st.booleans())
def test_no_hostile_event_breaks_a_published_formatter(name: str, bound: dict[str, Any], failing: bool) -> None:
    event = Event(0.0, "id", "GET", "/")
    event.say().bound.update(bound)
    event.message = "Request took 0.1234 seconds"
    event.error = ValueError("no good") if failing else None
    record = logging.LogRecord("root", 20, __file__, 1, event.message, None, None)
    current_event.set(event)
    try:
        assert RequestContextFilter().filter(record)
    finally:
        current_event.set(None)

    line = parse_line(FORMATTERS[name]().format(record))

    assert line["request_id"] == "id"
    assert "\n" not in json.dumps(line)


@pytest.mark.parametrize("fails", [False, True])
def test_the_context_filter_of_another_handler_leaves_no_copy_on_our_line(site: Site, fails: bool) -> None:
    """It puts the fields on the record, which all handlers share."""
    ours: list[dict[str, Any]] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ours.append(parse_line(self.format(record)))

    first, second = Collect(), Collect()
    first.setFormatter(JsonFormatter())
    first.addFilter(RequestContextFilter())
    second.setFormatter(JSONFormatter())

    def view(request: HttpRequest) -> HttpResponse:
        bind(cart_id="C-1")
        logger.warning("x", extra={"status": "paid"})
        if fails:
            raise ValueError("no")
        return HttpResponse()

    logging.getLogger().handlers[:] = [first, second]
    site.get(view)

    _, inside, _, request_line = [line for line in ours if line.get("message") == "x" or "Request took" in str(line)]
    assert (inside["cart_id"], inside["app_status"]) == ("C-1", "paid")
    assert request_line["status"] == (500 if fails else 200)
    assert [name for name in request_line if name.startswith("app_")] == []
    assert [name for name in inside if name.startswith("app_")] == ["app_status"]


def with_handler(formatter: logging.Formatter) -> io.StringIO:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(RequestContextFilter())
    logging.getLogger().addHandler(handler)
    return stream


@pytest.mark.parametrize(
    "formatter", [JsonFormatter, OrjsonFormatter, MsgspecFormatter], ids=["json", "orjson", "msgspec"]
)
def test_python_json_logger_prints_the_fields(formatter: Any, get: Get, lines: CapturedRequests) -> None:
    stream = with_handler(formatter("{message}{levelname}{name}", style="{"))

    get("/talk/")

    before, _, line = (parse_line(text) for text in written(stream) if "cart" in text or "before" in text)
    assert line["message"] == lines[0]["message"]
    assert (line["status"], line["path"], line["cart"]) == (200, "/talk/", 7)
    assert line["request_id"] == before["request_id"] == lines[0]["request_id"]
    assert line["event_id"] == lines[0]["event_id"]


def test_ecs_logging_prints_the_fields(get: Get, lines: CapturedRequests) -> None:
    stream = with_handler(ecs_logging.StdlibFormatter())

    get("/talk/")

    line = json.loads(written(stream)[-1])
    assert (line["status"], line["request_id"]) == (200, lines[0]["request_id"])


def test_a_foreign_formatter_gets_the_exception_and_only_safe_values(
    get: Get, site: Site, lines: CapturedRequests
) -> None:
    stream = with_handler(JsonFormatter("{message}", style="{"))

    def view(request: HttpRequest) -> HttpResponse:
        bind(name="clash", nan=float("nan"), request=request)
        raise ValueError("no good")

    site.get(view, "/?token=secret")

    line = [parse_line(text) for text in written(stream)][-1]
    assert (line["app_name"], line["nan"], line["error_type"]) == ("clash", None, "ValueError")
    assert line["exc_info"].count("ValueError: no good") == 1
    assert "secret" not in json.dumps(line)
