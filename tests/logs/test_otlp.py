"""`obs_middleware.logs.otlp`: each line is one log record of OpenTelemetry, in memory and over the network."""

from __future__ import annotations

import contextlib
import inspect
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

import needs
import opentelemetry.context
import pytest
from conftest import Site
from django.http import Http404, HttpRequest, HttpResponse
from hostile import EXAMPLES, NOT_EXTRA, hostile_event, names, values
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import _logs, trace
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk import _logs as sdk
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from otlp_server import Collector, serve
from queued import PATIENCE, forking, join_threads
from translated import EVERYTHING, SPAN, TRACE, failing, order, visit

from obs_middleware import bind, counters, logging_config, stats
from obs_middleware.logs import otlp
from obs_middleware.logs.filters import FoldDjangoRequests
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.otlp import OTLPHandler
from obs_middleware.logs.sinks.log_records import log_record, seal
from obs_middleware.logs.sinks.queued import QueuedHandler
from obs_middleware.measure.event import Event, current_event

Make = Callable[..., OTLPHandler]
RESOURCE: Final = {"service.name": "shop", "service.version": "1.2", "deployment.environment.name": "test"}
logger = logging.getLogger("site")


class Memory(InMemoryLogRecordExporter):
    """
    An exporter that keeps what it gets, and may wait or fail.

    Attributes:
        answer: What `export` returns, or raises.
        opened: Clear it to let `export` wait until it is set again.
        waiting: Set when `export` is called.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.answer: LogRecordExportResult | Exception = LogRecordExportResult.SUCCESS
        self.opened = threading.Event()
        self.opened.set()
        self.waiting = threading.Event()

    def export(self, batch: Any) -> LogRecordExportResult:
        self.waiting.set()
        assert self.opened.wait(PATIENCE)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is LogRecordExportResult.SUCCESS:
            super().export(batch)
        return self.answer

    def shutdown(self) -> None:
        """Stay: the handlers of a test share this exporter."""

    def sent(self) -> list[Any]:
        """Return the records with their resource and scope."""
        return list(self.get_finished_logs())

    def records(self) -> list[Any]:
        return [one.log_record for one in self.sent()]

    def bodies(self) -> list[Any]:
        return [record.body for record in self.records()]


@pytest.fixture(name="memory")
def _memory() -> Iterator[Memory]:
    memory = Memory()
    yield memory
    memory.opened.set()


@pytest.fixture(name="make")
def _make(memory: Memory) -> Iterator[Make]:
    """Make a handler of the root logger, which exports to *memory* unless told otherwise; all are closed afterwards."""
    root = logging.getLogger()
    registered = counters._sinks.copy()
    made: list[OTLPHandler] = []

    def make(**options: Any) -> OTLPHandler:
        if not {"endpoint", "provider"} & set(options):
            options.setdefault("exporter", lambda: memory)
        handler = OTLPHandler(**{"flush_on_sigterm": False, **options})
        made.append(handler)
        root.handlers.append(handler)
        root.setLevel(logging.INFO)
        return handler

    yield make
    for handler in made:
        handler.close()
    memory.opened.set()
    counters._sinks[:] = registered
    join_threads()


@pytest.fixture(name="collector")
def _collector() -> Iterator[Collector]:
    with serve() as collector:
        yield collector


# What a record says


def test_a_request_is_one_log_record_with_the_names_of_the_semantic_conventions(
    make: Make, memory: Memory, site: Site
) -> None:
    handler = make(service="shop", version="1.2", environment="test")

    visit(site, order)
    handler.flush()

    inner, line = memory.sent()
    record = line.log_record
    assert record.body.startswith("Request took ")
    assert (record.severity_text, record.severity_number.value) == ("INFO", 9)
    assert record.event_name == "http.server.request"
    assert line.instrumentation_scope.name == "root"
    assert record.timestamp <= record.observed_timestamp < record.timestamp + PATIENCE * 10**9
    expected = {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "orders/<int:number>/",
        "url.path": "/orders/7/",
        "url.query": "page=2&token=[redacted]",
        "http.request.header.x-tenant": ["t1"],
        "app.tenant": "t1",
        "app.cart": {"a": [2], "a_b": 1},
        "obs.parent_span_id": SPAN,
    }
    assert {name: record.attributes[name] for name in expected} == expected
    assert record.attributes["log.record.uid"] != inner.log_record.attributes["log.record.uid"]
    assert {name: line.resource.attributes[name] for name in RESOURCE} == RESOURCE
    assert "telemetry.sdk.name" in line.resource.attributes
    assert not set(RESOURCE) & set(record.attributes)
    assert inner.log_record.body == "Low stock"
    assert inner.instrumentation_scope.name == "site"
    assert (record.trace_id, record.trace_flags) == (int(TRACE, 16), 1)
    assert inner.log_record.trace_id == record.trace_id
    assert inner.log_record.span_id == record.span_id not in {0, int(SPAN, 16)}


def test_a_record_says_the_same_as_the_line(make: Make, memory: Memory, site: Site) -> None:
    """Another handler with the same formatter writes the line."""
    lines: list[dict[str, Any]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(self.format(record)))

    handler = make(service="shop")
    keep = Keep()
    keep.setFormatter(JSONFormatter(schema="otel", service="shop"))
    logging.getLogger().handlers.append(keep)

    visit(site, order)
    visit(site, failing)
    handler.flush()

    assert len(lines) == len(memory.records()) == 4  # one of Django, which nothing folds here
    for record, line in zip(memory.records(), lines, strict=True):
        assert record.attributes == line["attributes"]
        assert (record.body, record.severity_text) == (line["body"], line["severity_text"])
        assert record.severity_number.value == line["severity_number"]
        assert (f"{record.trace_id:032x}", f"{record.span_id:016x}") == (line["trace_id"], line["span_id"])


def test_a_failure_has_its_exception(make: Make, memory: Memory, site: Site) -> None:
    handler = make()
    handler.addFilter(FoldDjangoRequests())

    visit(site, failing)
    handler.flush()

    (record,) = memory.records()
    assert record.severity_number.value == 17
    assert record.attributes["exception.type"] == "ValueError"
    assert record.attributes["exception.message"] == "no good"
    assert record.attributes["exception.stacktrace"].startswith("Traceback (most recent call last):")
    assert record.attributes["error.type"] == "ValueError"


@pytest.mark.parametrize(("error", "status"), [(Http404("no"), 404), (ValueError("no"), 500)])
def test_records_of_django_are_folded_as_for_json(
    error: Exception, status: int, make: Make, memory: Memory, site: Site
) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        raise error

    handler = make()
    handler.addFilter(FoldDjangoRequests())

    site.get(view)
    handler.flush()

    assert [record.attributes["http.response.status_code"] for record in memory.records()] == [status]


def test_secrets_are_redacted_and_large_values_are_cut(make: Make, memory: Memory, site: Site) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        bind(password="s3cret", notes="x" * 100_000)
        logger.info("In the view", extra={"token": "s3cret"})
        return HttpResponse()

    handler = make(max_bytes=2_048)

    site.get(view, "/?token=s3cret", OBS_MIDDLEWARE=EVERYTHING)
    handler.flush()

    assert "s3cret" not in str(memory.records()[0].attributes) + str(memory.records()[1].attributes)
    for record in memory.records():
        assert len(str(record.attributes)) < 2_048
        assert record.attributes["obs.truncated"] is True


def test_processors_are_called_and_may_change_the_service(make: Make, memory: Memory) -> None:
    def add_region(_: Any, __: str, event: Any) -> Any:
        return {**event, "region": "eu", "service": "another"}

    handler = make(service="shop", processors=[add_region])
    logger.info("x")
    handler.flush()

    (line,) = memory.sent()
    assert line.log_record.attributes["app.region"] == "eu"
    assert line.log_record.attributes["service.name"] == "another"
    assert line.resource.attributes["service.name"] == "shop"


def test_the_service_is_known_from_the_environment(make: Make, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "kiosk")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=h1")
    handler = make(version="3")
    logger.info("x")
    handler.flush()

    (line,) = memory.sent()
    attributes = line.resource.attributes
    assert [attributes[name] for name in ("service.name", "service.version", "host.name")] == ["kiosk", "3", "h1"]


@pytest.mark.parametrize(
    ("level", "number"),
    [(5, 1), (10, 5), (20, 9), (22, 11), (25, 12), (30, 13), (35, 16), (40, 17), (50, 21), (70, 24)],
)
def test_every_level_has_a_severity(level: int, number: int, make: Make, memory: Memory) -> None:
    handler = make()
    logging.getLogger().setLevel(1)
    logger.log(level, "x")
    handler.flush()

    assert [record.severity_number.value for record in memory.records()] == [number]


@pytest.mark.parametrize("value", [None, 7, "noon", "0001-01-01T00:00:00", "9999-12-31T23:59:59+00:00", "x" * 40])
def test_a_time_that_a_processor_has_spoilt_is_that_of_the_call(value: Any, make: Make, memory: Memory) -> None:
    handler = make(processors=[lambda _, __, event: {**event, "timestamp": value, "trace_id": value}])
    logger.info("x")
    handler.flush()

    (record,) = memory.records()
    assert record.timestamp == record.observed_timestamp or value == "9999-12-31T23:59:59+00:00"
    assert record.trace_id == 0


# Which trace


def test_a_record_in_a_span_of_the_request_has_that_span(make: Make, memory: Memory, site: Site) -> None:
    spans = []

    def view(request: HttpRequest) -> HttpResponse:
        with TracerProvider().get_tracer("tests").start_as_current_span("inner") as span:
            spans.append(span.get_span_context())
            logger.info("inside")
        return HttpResponse()

    handler = make()
    with TracerProvider().get_tracer("tests").start_as_current_span("outer") as outer:
        site.get(view)
    handler.flush()

    inside, line = memory.records()
    assert (inside.trace_id, inside.span_id) == (spans[0].trace_id, spans[0].span_id)
    assert (line.trace_id, line.span_id) == (outer.get_span_context().trace_id, outer.get_span_context().span_id)
    assert inside.trace_flags & line.trace_flags & 1  # sampled


@pytest.mark.parametrize("flags", [0, 1])
def test_a_span_of_another_trace_does_not_take_a_record_out_of_the_trace_of_its_request(
    flags: int, make: Make, memory: Memory, site: Site
) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        with TracerProvider().get_tracer("tests").start_as_current_span("elsewhere"):
            logger.info("inside")
        return HttpResponse()

    handler = make()
    site.get(view, headers={"traceparent": f"00-{TRACE}-{SPAN}-{flags:02x}"})
    handler.flush()

    inside, line = memory.records()
    assert inside.trace_id == line.trace_id == int(TRACE, 16)
    assert inside.span_id == line.span_id != 0
    assert inside.trace_flags == line.trace_flags == flags


def test_a_record_outside_a_request_has_the_active_span_or_none(make: Make, memory: Memory) -> None:
    handler = make()
    logger.info("alone")
    with TracerProvider().get_tracer("tests").start_as_current_span("a job") as span:
        logger.info("in a span")
    logger.info("told", extra={"trace_id": TRACE, "span_id": SPAN})
    handler.flush()

    alone, inside, told = memory.records()
    assert (alone.trace_id, alone.span_id, alone.trace_flags) == (0, 0, 0)
    assert inside.span_id == span.get_span_context().span_id
    assert (told.trace_id, told.span_id) == (int(TRACE, 16), int(SPAN, 16))


# Hostile records


@settings(max_examples=EXAMPLES)
@given(
    event=st.builds(
        hostile_event,
        st.text(max_size=50),
        st.text(max_size=300),
        st.dictionaries(names, values, max_size=15),
        on_the_request_line=st.booleans(),
    ),
    extra=st.dictionaries(names.filter(lambda name: name not in NOT_EXTRA), values, max_size=5),
    added=st.dictionaries(
        st.sampled_from(["trace_id", "span_id", "timestamp", "level", "logger", "message", "service", "kind"]),
        values | st.text(),
        max_size=3,
    ),
)
def test_every_hostile_event_can_be_sent(event: Event, extra: dict[str, Any], added: dict[str, Any]) -> None:
    """One record that the exporter cannot encode would take its whole batch with it."""
    formatter = JSONFormatter(schema="otel", processors=[lambda _, __, fields: {**fields, **added}])
    record = logging.LogRecord("site", 20, __file__, 1, event.message or "x", None, None)
    record.__dict__.update({name: value for name, value in extra.items() if name not in record.__dict__})
    current_event.set(event)
    try:
        sealed = seal(20, formatter.format(record))
    finally:
        current_event.set(None)

    made, scope = log_record(sealed.encode("utf-8", "replace"), {})
    readable = sdk.ReadableLogRecord(made, Resource.get_empty(), InstrumentationScope(scope))
    (logs,) = encode_logs([readable]).resource_logs
    (sent,) = logs.scope_logs[0].log_records

    assert sent.body.string_value == made.body
    assert made.attributes is not None
    assert len(sent.attributes) == len(made.attributes)


# What is lost


def test_losses_are_counted_and_reported(
    make: Make, memory: Memory, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = make()
    handler.setLevel(logging.INFO)
    memory.answer = LogRecordExportResult.FAILURE

    site.get(lambda request: HttpResponse())
    handler.flush()
    figures = stats()

    assert (figures["requests"], figures["written"], figures["dropped"]) == (1, 0, 1)
    assert "cannot write the log to OpenTelemetry: ExportError(" in capsys.readouterr().err
    memory.answer = LogRecordExportResult.SUCCESS
    logger.info("later")
    handler.close()
    assert "later" in memory.bodies()
    assert any(body.startswith("Dropped ") for body in memory.bodies())


def test_an_exporter_that_raises_loses_its_batch_and_nothing_else(make: Make, memory: Memory) -> None:
    handler = make()
    memory.answer = RuntimeError("no")
    logger.info("one")
    handler.flush()
    memory.answer = LogRecordExportResult.SUCCESS
    logger.info("two")
    handler.flush()

    assert "one" not in memory.bodies()
    assert "two" in memory.bodies()
    assert stats()["sink_dropped"] >= 1


@pytest.mark.parametrize("error", [None, RuntimeError("no")])
def test_the_exporter_is_shut_down_at_the_end_and_made_again_for_a_later_line(
    error: Exception | None, memory: Memory, make: Make
) -> None:
    ended = []

    class Exporter(Memory):
        def export(self, batch: Any) -> LogRecordExportResult:
            return memory.export(batch)

        def shutdown(self) -> None:
            ended.append(self)
            if error is not None:
                raise error

    handler = make(exporter=Exporter)
    logger.info("one")
    handler.close()
    logger.info("after the end")

    assert [body for body in memory.bodies() if "OTLPHandler" not in body] == ["one", "after the end"]
    assert len(set(ended)) >= 2


def test_a_full_queue_drops_the_newest_and_no_caller_waits(make: Make, memory: Memory) -> None:
    handler = make(capacity=3)
    memory.opened.clear()
    logger.info("first")
    waiting = threading.Thread(target=handler.flush)
    waiting.start()
    assert memory.waiting.wait(PATIENCE)  # the exporter is being called, and does not return
    for number in range(10):
        logger.info("line %d", number)
    assert stats()["sink_depth"] == 3
    assert stats()["sink_dropped"] == 8
    memory.opened.set()
    waiting.join()
    handler.close()

    assert [body for body in memory.bodies() if not body.startswith("Dropped")] == ["first", "line 0", "line 1"]


def test_a_line_outside_the_thread_does_not_wait_again_for_a_collector_that_failed(
    make: Make, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("obs_middleware.logs.sinks.queued.may_start_threads", lambda: False)
    make()
    logger.info("one")
    memory.answer = RuntimeError("no")
    logger.info("two")
    memory.waiting.clear()
    logger.info("three")

    assert memory.bodies() == ["one"]
    assert not memory.waiting.is_set()
    assert stats()["sink_dropped"] >= 2


# Over the network


def test_records_arrive_once_over_the_network(make: Make, collector: Collector, site: Site) -> None:
    handler = make(endpoint=collector.url, service="shop")

    for _ in range(20):
        visit(site, order)
    handler.flush()

    assert len(collector.records) == 40
    assert len({taken.attributes["log.record.uid"] for taken in collector.records}) == 40
    assert collector.posts < 40  # they came in batches
    taken = next(one for one in collector.records if one.record.event_name)
    assert taken.record.body.string_value.startswith("Request took ")
    assert taken.record.trace_id.hex() == TRACE
    assert len(taken.record.span_id) == 8
    assert taken.record.flags == 1
    assert taken.record.severity_number == 9
    assert taken.record.event_name == "http.server.request"
    assert {one.scope for one in collector.records} == {"root", "site"}
    assert taken.attributes["http.response.status_code"] == 200
    assert taken.attributes["app.cart"] == {"a": [2], "a_b": 1}
    assert taken.scope == "root"
    assert taken.resource["service.name"] == "shop"
    assert stats()["sink_written"] == 40


def test_a_refused_batch_is_counted(make: Make, collector: Collector) -> None:
    handler = make(endpoint=collector.url)
    collector.status = 400
    logger.info("x")
    handler.flush()

    assert collector.records == []
    assert stats()["sink_dropped"] >= 1


def test_an_export_does_not_cause_the_next_one(
    make: Make, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At DEBUG, urllib3 logs each request."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    handler = make(endpoint=collector.url)
    logging.getLogger().setLevel(logging.DEBUG)
    logger.info("x")
    handler.flush()
    handler.flush()

    assert collector.bodies() == ["x"]
    assert stats()["sink_depth"] == 0


def test_a_record_of_the_application_without_instrumentation_is_kept(make: Make, memory: Memory) -> None:
    handler = make()
    token = opentelemetry.context.attach(
        opentelemetry.context.set_value(opentelemetry.context._SUPPRESS_INSTRUMENTATION_KEY, True)
    )
    try:
        logger.info("x")
        logging.getLogger("urllib3.connectionpool").info("y")
    finally:
        opentelemetry.context.detach(token)
    handler.flush()

    assert memory.bodies() == ["x"]


# Processes


@needs.FORK
@forking
def test_a_child_process_sends_its_own_records_over_its_own_connection(make: Make, collector: Collector) -> None:
    made = []

    def exporter() -> Any:
        made.append(os.getpid())
        return OTLPLogExporter(endpoint=collector.url)

    handler = make(exporter=exporter)
    logger.info("parent")
    handler.flush()
    logger.info("parent, not sent yet")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert stats()["sink_depth"] == stats()["sink_written"] == 0
            logger.info("child")
            handler.flush()
            code = 0 if stats()["sink_written"] == 1 and made[-1] == os.getpid() else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    handler.flush()

    assert os.waitstatus_to_exitcode(status) == 0
    assert sorted(collector.bodies()) == ["child", "parent", "parent, not sent yet"]


PROCESS: Final = """
import logging, logging.config, os, signal, sys, time
logging.config.dictConfig({
    "version": 1,
    "handlers": {"otlp": {"class": "obs_middleware.logs.otlp.OTLPHandler", "service": "job"}},
    "root": {"handlers": ["otlp"], "level": "INFO"},
})
for number in range(100):
    logging.info("line %d", number)
if sys.argv[1] == "signal":
    os.kill(os.getpid(), signal.SIGTERM)
if sys.argv[1] == "fork":
    logging.getLogger().handlers[0].flush()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    else:
        logging.info("of the child")
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("exit", 0),
        pytest.param("signal", -signal.SIGTERM, marks=needs.NOT_WINDOWS),
        pytest.param("fork", 0, marks=needs.FORK),
    ],
)
def test_the_queue_is_sent_at_the_end_of_the_process(end: str, code: int, collector: Collector) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url.removesuffix("/v1/logs")}
    # In Python's development mode, urllib3 warns of the socket that the exporter leaves to it.
    left = {"DJANGO_SETTINGS_MODULE", "PYTHONDEVMODE"}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROCESS, end],  # of a fork beside threads
        env={**{name: value for name, value in os.environ.items() if name not in left}, **endpoint},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (code, "")
    last = ["of the child"] if end == "fork" else []
    assert collector.bodies() == [*(f"line {number}" for number in range(100)), *last]


# Beside other handlers


@pytest.fixture(name="provider")
def _provider(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> sdk.LoggerProvider:
    """A logger provider of the site, which exports to *memory*."""
    provider = sdk.LoggerProvider(resource=Resource({"service.name": "site"}), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
    monkeypatch.setattr(otlp, "get_logger_provider", lambda: provider)
    return provider


def test_the_provider_of_the_site_gets_the_same_records(
    make: Make, memory: Memory, provider: sdk.LoggerProvider, site: Site
) -> None:
    handler = make(provider="global")

    visit(site, order)
    handler.flush()

    inner, line = memory.sent()
    assert line.log_record.attributes["http.response.status_code"] == 200
    assert (line.log_record.trace_id, inner.log_record.trace_id) == (int(TRACE, 16), int(TRACE, 16))
    assert line.resource.attributes["service.name"] == "site"
    assert inner.instrumentation_scope.name == "site"
    assert stats()["sink_written"] == 2


def test_a_missing_provider_is_a_counted_loss(
    make: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(otlp, "get_logger_provider", lambda: _logs._internal.ProxyLoggerProvider())
    handler = make(provider="global")
    logger.info("x")
    handler.flush()

    assert stats()["sink_dropped"] >= 1
    assert "no logger provider is set" in capsys.readouterr().err


def test_the_handler_of_the_sdk_sends_a_second_record_of_each(
    make: Make, memory: Memory, provider: sdk.LoggerProvider, site: Site
) -> None:
    """The page about OpenTelemetry says so."""
    handler = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        logging.getLogger().handlers.append(sdk.LoggingHandler(logger_provider=provider))

    visit(site, order)
    handler.flush()

    ours = [record for record in memory.records() if "log.record.uid" in record.attributes]
    theirs = [record for record in memory.records() if "log.record.uid" not in record.attributes]
    assert [record.body for record in ours] == [record.body for record in theirs]
    assert len(ours) == 2


# Configuration


def test_it_is_a_handler_for_logging_config(memory: Memory, site: Site, configured: Any) -> None:
    config = logging_config(service="shop")
    config["handlers"]["otlp"] = {
        "class": "obs_middleware.logs.otlp.OTLPHandler",
        "exporter": lambda: memory,
        "filters": ["fold_django_requests"],
        "flush_on_sigterm": False,
    }
    config["root"]["handlers"].append("otlp")
    logging.config.dictConfig(config)
    handler = logging.getLogger().handlers[-1]
    stream = logging.getLogger().handlers[0]
    assert isinstance(handler, OTLPHandler)
    assert isinstance(stream, logging.StreamHandler)
    with contextlib.redirect_stdout(None):
        stream.setStream(open(os.devnull, "w"))  # noqa: PTH123, SIM115

        visit(site, failing)
        handler.close()
        stream.stream.close()

    assert [record.attributes["http.response.status_code"] for record in memory.records()] == [500]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"provider": "mine"}, r"provider='mine'\): expected 'own' or 'global'"),
        ({"provider": "global", "service": "shop"}, "takes no endpoint, exporter, service"),
        ({"provider": "global", "endpoint": "http://x/v1/logs"}, "takes no endpoint"),
        ({"endpoint": "http://x/v1/logs", "exporter": "a.B"}, "not both"),
        ({"exporter": 7}, r"exporter=7\): expected a class or function"),
        ({"capacity": 0}, "capacity is 0"),
        ({"overflow": "wait"}, "overflow is 'wait'"),
        ({"max_bytes": 1}, "max_bytes is 1"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OTLPHandler(**{"flush_on_sigterm": False, **options})


def test_another_formatter_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="leave out 'formatter'"):
        make().setFormatter(logging.Formatter())


def test_an_exporter_may_be_a_dotted_path(make: Make) -> None:
    handler = make(exporter="opentelemetry.sdk._logs.export.InMemoryLogRecordExporter")
    logger.info("x")
    handler.flush()

    assert stats()["sink_written"] == 1


def test_nothing_of_opentelemetry_is_imported_unless_the_handler_is_used() -> None:
    code = (
        "import sys, obs_middleware, obs_middleware.logs.handlers, obs_middleware.middleware, obs_middleware.checks\n"
        "assert not [name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry._logs'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# The SDK


def test_the_sdk_still_has_the_parts_that_the_handler_uses() -> None:
    """
    The logs of the SDK are called unstable; these are the parts that this package relies on.

    If this fails after an update, change `obs_middleware.logs.otlp`, and name the versions on the page about
    OpenTelemetry.
    """
    used = {"timestamp", "observed_timestamp", "context", "severity_text", "severity_number", "body", "attributes"}
    assert used | {"event_name"} <= set(inspect.signature(LogRecord).parameters)
    assert list(inspect.signature(sdk.ReadableLogRecord).parameters)[:3] == [
        "log_record",
        "resource",
        "instrumentation_scope",
    ]
    assert LogRecordExportResult.SUCCESS.name == "SUCCESS"
    assert hasattr(sdk.LoggerProvider, "add_log_record_processor")
    assert not hasattr(_logs._internal.ProxyLoggerProvider, "add_log_record_processor")
    assert isinstance(opentelemetry.context._SUPPRESS_INSTRUMENTATION_KEY, str)
    assert not trace.get_current_span().get_span_context().is_valid
    assert issubclass(OTLPHandler, QueuedHandler)
