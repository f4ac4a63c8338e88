"""Failures inside this package: each of its functions, and each callable of the application, is made to raise once."""

from __future__ import annotations

import ast
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from django.core.handlers.asgi import ASGIHandler
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import RequestFactory
from endings.drivers import Visit, site, visit_asgi
from no_harm import subject
from no_harm.world import Answer, World, stream

import obs_middleware
from obs_middleware import failures, in_flight
from obs_middleware.asgi import observed
from obs_middleware.logs.filters import FoldDjangoRequests, RequestContextFilter
from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter, LogfmtFormatter, TextFormatter
from obs_middleware.measure.event import current_event
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests, parse_line

pytestmark = pytest.mark.skipif(not subject.IS_OURS, reason="another middleware is judged")

PACKAGE = str(Path(obs_middleware.__file__).parent)

GUARDS = {
    # They catch, but a fault at their entry comes before the guard.
    "TimingMiddleware.__call__",
    "_SyncTwin.__call__",
    "TimingMiddleware.begin",
    "TimingMiddleware.finish",
    "TimingMiddleware._conclude",
    "LineWriter.conclude",
    "LineWriter._decide",
    "LineWriter._level_of",
    "_is_awaitable",
    "ChainFormatter.format",
    "JSONFormatter.format",
    "FoldDjangoRequests.filter",
    "HandlerFold.filter",
    "Watch.attend",
    # The wrapper of a stream and its latch call only functions that are guarded themselves.
    "_Body.__next__",
    "_AsyncBody.__anext__",
    "_Ending.over",
    "_Ending.close",
    "_Ending.lose",
    "_Ending.raised",
    # Receivers of Django's signals: they read and set one variable.
    "_keep_exception",
    "_leave",
    # The same three kinds around the ASGI application.
    "_Observer.serve",
    "_Observer._conclude",
    "_Sender.__init__",
    "_Sender.__call__",
    # The garbage collector calls it, at any time, and prints what it raises.
    "Pauses._note",
    # They cannot fail: they read an attribute, compare a type or set an entry.
    "event_of",
    "is_departure",
    "report_once",
    "Event.note",
    "Watch.attend_if_needed",
    "Watch.is_needed",
    "Formatting.__enter__",
    "Formatting.__exit__",
    # The fallback line needs them.
    "Event.__init__",
    "Event.set_target",
    "new_request_id",
}
"""Functions that are not made to raise."""

LINELESS = {
    # The output of the line, and a function that even the fallback of a formatter needs.
    "LineWriter._write",
    "dumps",
}
"""Functions whose failure may cost the line."""

TWICE = {
    "Timestamps.text",
    # The shortcut calls them first, and the chain again if the shortcut has failed. Only a failure in the chain is
    # reported.
    "ChainFormatter._head",
    "Event.context",
    "Event.line",
    "Event.names",
    "Said.add_to",
    "new_event_id",
    # Called if anything was ever bound in structlog's own context variables.
    "bound_contextvars",
    # Called for the name of a new logger.
    "Cleaner.clean",
    "Cuts.__init__",
    "Walk.__init__",
    "Walk.value",
}
"""Functions whose failure is reported or not, depending on the request."""

SILENT = {
    # If they fail, the shortcut is not used. The chain calls the same functions again.
    "Shapes.line",
    "Shapes._learn",
    "Shortcut.line",
    "_added",
    "_encode_name",
    "usual_fields",
    "Remembered.__missing__",
    "Remembered.remember",
    "Cleaner.is_plain",
    "_encode_orjson",
    "encode_float",
    "encode_integer",
    "as_whole",
    "encode_text",
    "is_whole",
    # If they fail, the line shows the type of the value instead.
    "Walk._mapping",
    "Walk._may_add",
    "Walk._may_open",
    "Walk._object",
    "Walk._text",
    "plain_key",
    "clean_text",
}
"""Functions whose failure is not reported."""


def test_every_name_in_these_lists_is_a_function_of_the_package() -> None:
    """A name that no longer exists could later excuse another function."""
    defined = set()
    for path in Path(PACKAGE).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                defined.add(node.name)
            elif isinstance(node, ast.ClassDef):
                functions = (one for one in ast.walk(node) if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)))
                defined.update(f"{node.name}.{one.name}" for one in functions)

    assert (GUARDS | LINELESS | TWICE | SILENT) - defined == set()


class Fault(Exception):
    """An exception that no code expects."""


class BaseFault(BaseException):
    """The same, but not caught by ``except Exception``, like ``structlog.DropEvent``."""


class Log(logging.Handler):
    """The handler of the shipped ``LOGGING``, in memory."""

    def __init__(self, formatter: logging.Formatter | None = None) -> None:
        super().__init__()
        self.setFormatter(formatter or JSONFormatter())
        self.addFilter(FoldDjangoRequests())
        self.texts: list[str] = []
        self.lines: list[str] = []  # of requests; the console does not print their message

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 -- like the handlers of the standard library
            self.handleError(record)
        else:
            self.texts.append(text)
            if str(record.msg).startswith("Request took"):
                self.lines.append(text)

    def clear(self) -> None:
        self.texts.clear()
        self.lines.clear()

    @property
    def reports(self) -> list[str]:
        return [text for text in self.texts if "the request was not affected" in text]


@pytest.fixture(name="log")
def _log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """The only handler; `tests/conftest.py` puts the others back."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log = Log()
    root = logging.getLogger()
    root.handlers[:] = [log]
    root.setLevel(logging.INFO)
    return log


def enrich(request: Any, response: Any) -> dict[str, Any]:
    return {"tenant": "t1"}


def level(status: int, duration_seconds: float, outcome: str) -> str:
    return "INFO"


EVERYTHING = {
    "FIELDS": ("user_agent", "host", "scheme", "http_version", "query", "referrer"),
    "HEADERS": ["X-Tenant", "Authorization"],
    "TRUSTED_PROXIES": ["10.0.0.0/8"],
    "EXCLUDE": ["^/never/$"],
    "QUIET": ["^/neither/$"],
    "ENRICH": enrich,
    "LEVEL": level,
    "SERVER_TIMING": True,
    "TRACE_RESPONSE": True,
    "EXPOSE_HEADER": True,
    "SLOW_SECONDS": 1000,
}
REQUEST_HEADERS = {
    "X-Request-ID": "given",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "X-Forwarded-For": "203.0.113.7",
    "X-Tenant": "t1",
    "User-Agent": "test",
    "Referer": "/?token=x",
}


def _plain(request: HttpRequest) -> HttpResponse:
    obs_middleware.bind(cart=7)
    obs_middleware.annotate(coupon="spring")
    with obs_middleware.timed("block"):
        return HttpResponse("hello")


def _missing(request: HttpRequest) -> HttpResponse:
    raise Http404("nothing here")


def _failing(request: HttpRequest) -> HttpResponse:
    raise ValueError("no good")


def _file(request: HttpRequest) -> FileResponse:
    return FileResponse(Path(__file__).open("rb"))


def _view(world: World, kind: str) -> Any:
    if kind == "stream":
        return stream(world, [b"one", b"two"], [])
    return world.view({"plain": _plain, "missing": _missing, "failing": _failing, "file": _file}[kind])


def _ask(world: World) -> Answer:
    answer = world.send("/?a=1&token=x", headers=REQUEST_HEADERS)
    # Headers that the settings ask for, and which differ in each response, or which a fault leaves out.
    for name in ("Server-Timing", "traceresponse", "Access-Control-Expose-Headers"):
        answer.headers.pop(name, None)
    return answer


def _with_profile(profile: Callable[[Any, str, Any], None], ask: Callable[[], Any]) -> Any:
    sys.setprofile(profile)
    try:
        return ask()
    finally:
        sys.setprofile(None)


def _name(frame: Any) -> str | None:
    code = frame.f_code
    if not code.co_filename.startswith(PACKAGE):
        return None
    return str(code.co_qualname).replace("_sync_twin.<locals>.", "")


def _functions(ask: Callable[[], Any]) -> list[str]:
    """Return the functions of the package that *ask* calls, without those that the application itself calls."""
    called: dict[str, None] = {}

    def profile(frame: Any, event: str, argument: Any) -> None:
        name = _name(frame) if event == "call" else None
        if name is not None:
            called[name] = None

    _with_profile(profile, ask)
    applications = {"bind", "annotate", "timed.__init__", "timed.__enter__", "timed.__exit__", "own_name"}
    applications |= {"Event.say", "Said.__init__", "Tally.__init__", "Tally.append"}
    return [name for name in called if name not in GUARDS | applications and "<" not in name]


def _raiser(name: str, error: type[BaseException]) -> Callable[[Any, str, Any], None]:
    def profile(frame: Any, event: str, argument: Any) -> None:
        if event == "call" and _name(frame) == name:
            sys.setprofile(None)
            raise error(name)

    return profile


def _troubles(log: Log, name: str, *, same: bool) -> list[str]:
    return [
        *([] if same else ["another response"]),
        *(["a request in flight"] if in_flight() else []),
        *(["a context left behind"] if current_event.get() is not None else []),
        *([f"{len(log.lines)} lines"] if len(log.lines) != 1 and name not in LINELESS else []),
        *([f"{len(log.reports)} reports"] if len(log.reports) != (name not in SILENT) and name not in TWICE else []),
    ]


CASES = [
    *(("sync", kind, BaseFault) for kind in ("plain", "missing", "failing", "stream", "file")),
    *(("sync", kind, Fault) for kind in ("failing", "stream")),
    *(("async", kind, BaseFault) for kind in ("failing", "stream")),
]


@pytest.mark.parametrize(("mode", "kind", "error"), CASES)
def test_a_failure_anywhere_in_the_package_does_not_change_the_response(
    mode: str, kind: str, error: type[BaseException], log: Log
) -> None:
    """Each function of the package that a request calls is made to raise, one per request."""
    world = World(mode)
    world.loop_here = True  # a profile function sees one thread
    wrong: dict[str, list[str]] = {}
    with world.site(_view(world, kind), judged=True, OBS_MIDDLEWARE=EVERYTHING):
        expected = _ask(world)
        functions = _functions(lambda: _ask(world))
        for name in functions:
            log.clear()
            failures._reported.clear()
            try:
                answer: Any = _with_profile(_raiser(name, error), lambda: _ask(world))
            except BaseException as raised:  # noqa: BLE001 -- it should not raise, and the test reports it
                answer = repr(raised)
            troubles = _troubles(log, name, same=answer == expected)
            current_event.set(None)
            if troubles:
                wrong[name] = troubles

    assert wrong == {}
    assert len(functions) > 15


@pytest.mark.parametrize("kind", ["plain", "stream"])
def test_a_failure_anywhere_in_observed_does_not_change_the_response(
    kind: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same around the ASGI application, with `observed`."""
    monkeypatch.setattr("endings.drivers.gc.collect", lambda: 0)  # for speed: there are a hundred visits
    world = World("async")
    wrong: dict[str, list[str]] = {}

    def ask() -> Any:
        visit = visit_asgi(Visit(headers=REQUEST_HEADERS), outside=True)
        return visit.status, visit.content, type(visit.raised)

    with site(_view(world, kind), world.chain(judged=True), OBS_MIDDLEWARE={"ENRICH": enrich, "LEVEL": level}):
        for _ in range(3):
            expected = ask()  # from the fourth on, a plan writes the line
        built = _functions(lambda: observed(ASGIHandler()))
        functions = [name for name in _functions(ask) if name not in built]
        for name in functions:
            log.clear()
            failures._reported.clear()
            answer = _with_profile(_raiser(name, BaseFault), ask)
            troubles = _troubles(log, name, same=answer == expected)
            current_event.set(None)
            if troubles:
                wrong[name] = troubles

    assert wrong == {}
    assert len(functions) > 15


def _raise_fault(*_: Any, **__: Any) -> Any:
    raise Fault("of the user's")


def _raise_base_fault(*_: Any, **__: Any) -> Any:
    raise BaseFault("of the user's")


def _drop(*_: Any, **__: Any) -> Any:
    raise structlog.DropEvent


RAISERS = {"Exception": _raise_fault, "BaseException": _raise_base_fault, "DropEvent": _drop}


@pytest.mark.parametrize("raiser", RAISERS.values(), ids=RAISERS)
@pytest.mark.parametrize("key", ["ENRICH", "LEVEL", "REQUEST_ID"])
def test_a_callable_in_the_settings_that_raises_loses_only_its_own_result(
    world: World, key: str, raiser: Any, log: Log
) -> None:
    view = world.view(_plain)
    with world.site(view, judged=True, OBS_MIDDLEWARE={key: raiser}):
        answers = [world.send() for _ in range(3)]

    assert {answer.status for answer in answers} == {200}
    assert [parse_line(line)["status"] for line in log.lines] == [200] * 3
    assert len(log.reports) == 1
    assert parse_line(log.reports[0])["logger"] == "obs_middleware"


@pytest.mark.parametrize("raiser", RAISERS.values(), ids=RAISERS)
@pytest.mark.parametrize("formatter", [JSONFormatter, LogfmtFormatter, TextFormatter, ConsoleFormatter])
def test_a_processor_that_raises_costs_only_fields_of_the_line(
    world: World, formatter: type[JSONFormatter], raiser: Any, log: Log
) -> None:
    log.setFormatter(formatter(processors=[raiser]))

    with world.site(world.view(_plain), judged=True):
        answers = [world.send() for _ in range(3)]

    assert {answer.status for answer in answers} == {200}
    assert len(log.lines) == 3
    assert len(log.reports) == 1


@pytest.mark.parametrize("raiser", RAISERS.values(), ids=RAISERS)
def test_a_filter_that_raises_is_reported_to_the_handlers_that_work(
    world: World, raiser: Any, log: Log, lines: CapturedRequests
) -> None:
    """The filter of a logger, which is asked for the request line alone."""
    root = logging.getLogger()
    root.addFilter(raiser)
    try:
        with world.site(world.view(_plain), judged=True):
            answers = [world.send() for _ in range(3)]
    finally:
        root.removeFilter(raiser)

    assert {answer.status for answer in answers} == {200}
    assert log.lines == []
    assert len(log.reports) == 1


@pytest.mark.parametrize("raiser", RAISERS.values(), ids=RAISERS)
def test_a_handler_that_raises_does_not_fail_the_request(world: World, raiser: Any, log: Log) -> None:
    log.emit = raiser  # type: ignore[method-assign]  # broken on purpose

    with world.site(world.view(_plain), judged=True):
        answers = [world.send() for _ in range(3)]

    assert {answer.status for answer in answers} == {200}


class Hostile:
    """A value that fails at every access."""

    def __getattr__(self, name: str) -> Any:
        raise BaseFault(name)

    __str__ = __repr__ = __iter__ = __len__ = __eq__ = __bool__ = __hash__ = _raise_base_fault


@pytest.mark.parametrize("formatter", [JSONFormatter, LogfmtFormatter, TextFormatter, ConsoleFormatter])
def test_a_value_that_fails_at_every_access_does_not_stop_the_line(
    world: World, formatter: type[JSONFormatter], log: Log
) -> None:
    log.setFormatter(formatter())
    log.addFilter(RequestContextFilter())

    def view(request: HttpRequest) -> HttpResponse:
        obs_middleware.bind(cart=Hostile(), items=[Hostile()], **{"a b": {1: Hostile()}})
        return HttpResponse("hello")

    answer = world.visit(world.view(view))

    assert answer.content == b"hello"
    assert len(log.lines) == 1


def test_a_wrong_setting_of_the_site_fails_no_request_because_of_the_package(world: World, log: Log) -> None:
    """With this setting, ``request.scheme`` raises. A view that does not use it is answered."""
    answer = world.visit(
        world.view(_plain), SECURE_PROXY_SSL_HEADER="not a pair", OBS_MIDDLEWARE={"FIELDS": ["scheme"]}
    )

    assert answer.status == 200
    assert len(log.lines) == 1


class Odd(HttpResponseBase):
    """A response that streams but is not a `StreamingHttpResponse`, and lacks its attributes."""

    streaming = True

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"odd"])


def test_a_response_of_an_unknown_class_is_sent_and_written_once(log: Log) -> None:
    visit = World("sync").serve(lambda request: Odd(), Visit())

    assert (visit.status, visit.content) == (200, b"odd")
    assert len(log.lines) == 1


@pytest.mark.parametrize("name", ["status_code", "headers", "streaming", "content"])
def test_a_response_whose_attributes_raise_is_returned_unchanged(name: str, log: Log) -> None:
    """The middleware is called directly, because Django reads the same attributes."""
    response: Any = type("Raising", (HttpResponse,), {name: property(_raise_fault, lambda *_: None)})

    def view(request: HttpRequest) -> Any:
        return made

    made = response.__new__(response)
    answer = TimingMiddleware(view)(RequestFactory().get("/"))

    assert answer is made
    assert len(log.lines) == 1
    assert in_flight() == []
