"""`obs_middleware.logs.schemas`: the same facts under the names, types and units of others."""

from __future__ import annotations

import csv
import functools
import io
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

import pytest
from conftest import Site
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from hostile import EVENTS, EXAMPLES, NOT_EXTRA, SEED, Mischief, hostile_event, names, values
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import DATA, DOCS

from obs_middleware import annotate, bind, logging_config, timed
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.line import encode, shortcut
from obs_middleware.logs.options import SchemaName
from obs_middleware.logs.schemas import SCHEMAS, Schema, To, Translation
from obs_middleware.measure.event import RequestEvent, current_event
from obs_middleware.measure.vocabulary import FIELDS
from obs_middleware.testing import parse_line

TABLES = {name: schema for name, schema in SCHEMAS.items() if schema is not None}
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
EVERYTHING = {
    "FIELDS": ["user_agent", "host", "scheme", "http_version", "query", "referrer"],
    "HEADERS": ["X-Tenant"],
    "SLOW_SECONDS": 1e-9,
}
HEADERS = {
    "traceparent": f"00-{TRACE}-{SPAN}-01",
    "user-agent": "curl/8",
    "referer": "https://shop.example/cart",
    "x-tenant": "t1",
}
logger = logging.getLogger("site")


@pytest.fixture(name="schema", params=list(TABLES))
def _schema(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Lines(list[tuple[dict[str, Any], dict[str, Any]]]):
    """Pairs of the same line, in the flat schema and in another."""


@pytest.fixture(name="written")
def _written() -> Callable[[SchemaName], Callable[[], Lines]]:
    """Write every line twice, flat and in a schema, at stream handlers; a call gives the pairs so far."""
    root = logging.getLogger()
    root.setLevel("INFO")

    def write(schema: SchemaName) -> Callable[[], Lines]:
        streams = []
        names: tuple[SchemaName, ...] = ("flat", schema)
        for name in names:
            stream = io.StringIO()
            handler = logging.StreamHandler(stream)
            handler.setFormatter(JSONFormatter(schema=name, service="shop", version="1.2", environment="test"))
            root.addHandler(handler)
            streams.append(stream)
        return lambda: Lines(
            zip(*([parse_line(line) for line in s.getvalue().splitlines()] for s in streams), strict=True)
        )

    return write


def order(request: HttpRequest, number: int) -> HttpResponse:
    logger.warning("Low stock")
    bind(tenant="t1", vip=True, cart={"a.b": 1, "a": [2]}, nothing=None)
    annotate(seats=3)
    with timed("stripe"):
        pass
    return HttpResponse("done")


def failing(request: HttpRequest, number: int) -> HttpResponse:
    raise ValueError("no good")


def visit(site: Site, view: Any) -> None:
    route, url = "orders/<int:number>/", "/orders/7/?page=2&token=s3cret"
    # Django's async client adds a second host instead of changing the first.
    headers = HEADERS | ({"host": "localhost:8000"} if site.mode == "sync" else {})
    site.get(view, url, route=route, headers=headers, OBS_MIDDLEWARE=EVERYTHING)


# Golden lines. The expected lines are derived from the flat line, not from the tables.


def port(flat: dict[str, Any], name: str) -> dict[str, int]:
    return {name: 8000} if flat["host"].endswith(":8000") else {}


def ecs(flat: dict[str, Any]) -> dict[str, Any]:
    return {
        "@timestamp": flat["timestamp"],
        "log.level": "info",
        "message": flat["message"],
        "ecs.version": "9.4.0",
        "event_id": flat["event_id"],
        "event": {
            "id": flat["event_id"],
            "kind": "event",
            "category": ["web"],
            "type": ["access"],
            "action": "http-request",
            "outcome": "success",
            "duration": round(flat["duration_seconds"] * 1e9),
            "dataset": "shop",
        },
        "log": {"logger": "root"},
        "service": {"name": "shop", "version": "1.2", "environment": "test"},
        "http": {
            "request": {
                "id": flat["request_id"],
                "method": "GET",
                "referrer": "https://shop.example/cart",
                **({"body": {"bytes": flat["request_bytes"]}} if "request_bytes" in flat else {}),
            },
            "response": {"status_code": 200, "body": {"bytes": 4}},
            "route": "orders/<int:number>/",
            "version": "1.1",
        },
        "url": {
            "path": "/orders/7/",
            "query": "page=2&token=[redacted]",
            "domain": flat["host"].removesuffix(":8000"),
            **port(flat, "port"),
            "scheme": "http",
        },
        "client": {"ip": "127.0.0.1"},
        "user_agent": {"original": "curl/8"},
        "trace": {"id": TRACE},
        "span": {"id": flat["span_id"]},
        "obs": {
            "view": flat["view"],
            "outcome": "ok",
            "parent_span_id": SPAN,
            "slow": True,
            "db_queries": 0,
            "db_seconds": 0.0,
            "headers": {"x-tenant": "t1"},
            "extra": {"cart": {"a": [2], "a_b": 1}},
        },
        "labels": {"tenant": "t1", "nothing": None},
        "app": {"vip": True, "seats": 3, "stripe_seconds": flat["stripe_seconds"], "stripe_count": 1},
    }


def otel(flat: dict[str, Any]) -> dict[str, Any]:
    return {
        "timestamp": flat["timestamp"],
        "severity_text": "INFO",
        "severity_number": 9,
        "body": flat["message"],
        "event_id": flat["event_id"],
        "event_name": "http.server.request",
        "trace_id": TRACE,
        "span_id": flat["span_id"],
        "instrumentation_scope": {"name": "root"},
        "resource": {
            "attributes": {"service.name": "shop", "service.version": "1.2", "deployment.environment.name": "test"}
        },
        "attributes": {
            "log.record.uid": flat["event_id"],
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "http.route": "orders/<int:number>/",
            "http.server.request.duration": flat["duration_seconds"],
            "http.response.body.size": 4,
            **({"http.request.body.size": flat["request_bytes"]} if "request_bytes" in flat else {}),
            "http.request.header.referer": ["https://shop.example/cart"],
            "http.request.header.x-tenant": ["t1"],
            "network.protocol.version": "1.1",
            "url.path": "/orders/7/",
            "url.query": "page=2&token=[redacted]",
            "url.scheme": "http",
            "server.address": flat["host"].removesuffix(":8000"),
            **port(flat, "server.port"),
            "client.address": "127.0.0.1",
            "user_agent.original": "curl/8",
            "code.function.name": flat["view"],
            "obs.request_id": flat["request_id"],
            "obs.outcome": "ok",
            "obs.parent_span_id": SPAN,
            "obs.slow": True,
            "obs.db_queries": 0,
            "obs.db_seconds": 0.0,
            "app.tenant": "t1",
            "app.nothing": None,
            "app.vip": True,
            "app.seats": 3,
            "app.stripe_seconds": flat["stripe_seconds"],
            "app.stripe_count": 1,
            "app.cart": {"a": [2], "a_b": 1},
        },
    }


def datadog(flat: dict[str, Any]) -> dict[str, Any]:
    return {
        "timestamp": flat["timestamp"],
        "status": "info",
        "message": flat["message"],
        "logger": {"name": "root"},
        "event_id": flat["event_id"],
        "service": "shop",
        "version": "1.2",
        "env": "test",
        "dd": {"trace_id": TRACE, "span_id": str(int(flat["span_id"], 16))},
        "trace_id": TRACE,
        "span_id": flat["span_id"],
        "duration": round(flat["duration_seconds"] * 1e9),
        "evt": {"name": "http-request", "outcome": "success"},
        "http": {
            "request_id": flat["request_id"],
            "method": "GET",
            "route": "orders/<int:number>/",
            "status_code": 200,
            "version": "1.1",
            "useragent": "curl/8",
            "referer": "https://shop.example/cart",
            "headers": {"x-tenant": "t1"},
            "url": f"http://{flat['host']}/orders/7/?page=2&token=[redacted]",
            "url_details": {
                "host": flat["host"].removesuffix(":8000"),
                **port(flat, "port"),
                "scheme": "http",
                "path": "/orders/7/",
                "queryString": {"page": "2", "token": "[redacted]"},
            },
        },
        "network": {
            "bytes_written": 4,
            "client": {"ip": "127.0.0.1"},
            **({"bytes_read": flat["request_bytes"]} if "request_bytes" in flat else {}),
        },
        "db": {"queries": 0, "seconds": 0.0},
        "obs": {"view": flat["view"], "outcome": "ok", "parent_span_id": SPAN, "slow": True},
        "app": {
            "tenant": "t1",
            "nothing": None,
            "vip": True,
            "seats": 3,
            "stripe_seconds": flat["stripe_seconds"],
            "stripe_count": 1,
            "cart": {"a": [2], "a_b": 1},
        },
    }


def gcp(flat: dict[str, Any]) -> dict[str, Any]:
    return {
        "time": flat["timestamp"],
        "severity": "INFO",
        "message": flat["message"],
        "logger": "root",
        "event_id": flat["event_id"],
        "logging.googleapis.com/insertId": flat["event_id"],
        "logging.googleapis.com/trace": f"projects/my-project/traces/{TRACE}",
        "logging.googleapis.com/spanId": flat["span_id"],
        "logging.googleapis.com/labels": {
            "request_id": flat["request_id"],
            "route": "orders/<int:number>/",
            "view": flat["view"],
            "environment": "test",
            "tenant": "t1",
        },
        "serviceContext": {"service": "shop", "version": "1.2"},
        "httpRequest": {
            "requestMethod": "GET",
            "requestUrl": f"http://{flat['host']}/orders/7/?page=2&token=[redacted]",
            "status": 200,
            "latency": f"{flat['duration_seconds']:.6f}s",
            "responseSize": "4",
            **({"requestSize": str(flat["request_bytes"])} if "request_bytes" in flat else {}),
            "remoteIp": "127.0.0.1",
            "userAgent": "curl/8",
            "referer": "https://shop.example/cart",
            "protocol": "HTTP/1.1",
        },
        "obs": {
            "outcome": "ok",
            "parent_span_id": SPAN,
            "slow": True,
            "db_queries": 0,
            "db_seconds": 0.0,
            "headers": {"x-tenant": "t1"},
        },
        "app": {
            "nothing": None,
            "vip": True,
            "seats": 3,
            "stripe_seconds": flat["stripe_seconds"],
            "stripe_count": 1,
            "cart": {"a": [2], "a_b": 1},
        },
    }


@pytest.mark.parametrize("golden", [ecs, otel, datadog, gcp])
def test_the_request_line_in_a_schema(golden: Any, written: Any, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-project")
    lines = written(golden.__name__)

    visit(site, order)

    flat, line = lines()[-1]
    expected = golden(flat)
    for name in () if "client_ip" in flat else ("client", "client.address", "remoteIp"):
        drop(expected, name)
    for name in () if "http_version" in flat else ("version", "network.protocol.version", "protocol"):
        drop(expected.get("http", expected), name)
    assert line == expected


def drop(line: dict[str, Any], name: str) -> None:
    """Remove *name* from *line*, at any place."""
    line.pop(name, None)
    for value in line.values():
        if isinstance(value, dict):
            drop(value, name)


def test_another_line_of_the_request_has_its_context_and_nothing_of_the_request_line(
    schema: str, written: Any, site: Site
) -> None:
    lines = written(schema)

    visit(site, order)

    flat, line = lines()[0]
    text = json.dumps(line)
    assert flat["request_id"] in text
    assert TRACE in text
    assert "http-request" not in text
    assert "http.server.request" not in text
    assert {"event_id", "message"} & set(line) == ({"event_id"} if schema == "otel" else {"event_id", "message"})


def test_a_failure_in_a_schema(schema: str, written: Any, site: Site) -> None:
    lines = written(schema)

    visit(site, failing)

    flat, line = lines()[-1]
    places = {
        "ecs": ["error type", "error message", "error stack_trace"],
        "otel": [f"attributes exception.{name}" for name in ("type", "message", "stacktrace")],
        "datadog": ["error kind", "error message", "error stack"],
        "gcp": ["obs error_type", "obs error_message", "stack_trace"],
    }[schema]
    assert [at(line, place.split()) for place in places] == [
        flat["error_type"],
        flat["error_message"],
        flat["stack_trace"],
    ]
    if schema == "otel":
        assert line["attributes"]["error.type"] == "ValueError"
    if schema in {"ecs", "datadog"}:
        assert line["event" if schema == "ecs" else "evt"]["outcome"] == "failure"


def at(line: Any, path: list[str]) -> Any:
    """Return the value at *path*."""
    for key in path:
        line = line[key]
    return line


def translate(schema: str, **fields: Any) -> dict[str, Any]:
    """Translate an event of a request that has *fields*."""
    table = SCHEMAS[schema]
    assert table is not None
    head = {"timestamp": "2026-11-02T10:00:00.000000Z", "level": "info", "message": "x", "event_id": "1"}
    return Translation(table)("", "", {**head, **fields})


@pytest.mark.parametrize(
    ("outcome", "coarse"),
    [
        ("ok", "success"),
        ("error", "failure"),
        ("stream_error", "failure"),
        ("cancelled", "unknown"),
        ("aborted", "unknown"),
        ("lost", "unknown"),
    ],
)
def test_an_outcome_keeps_our_word_beside_the_coarse_one(outcome: str, coarse: str) -> None:
    assert translate("ecs", outcome=outcome)["event"]["outcome"] == coarse
    assert translate("datadog", outcome=outcome)["evt"]["outcome"] == coarse
    otel_type = translate("otel", outcome=outcome, status=503)["attributes"].get("error.type")
    assert otel_type == ("503" if coarse == "failure" else None)
    for schema in TABLES:
        assert outcome in json.dumps(translate(schema, outcome=outcome)).replace("error.type", "")


@pytest.mark.parametrize(
    ("level", "number", "severity"),
    [
        ("debug", 5, "DEBUG"),
        ("info", 9, "INFO"),
        ("warning", 13, "WARNING"),
        ("error", 17, "ERROR"),
        ("critical", 21, "CRITICAL"),
        ("notice", None, "NOTICE"),
        ("chatter", None, "DEFAULT"),
    ],
)
def test_levels(level: str, number: int | None, severity: str) -> None:
    line = translate("otel", level=level)

    assert (line["severity_text"], line.get("severity_number")) == (level.upper(), number)
    assert translate("gcp", level=level)["severity"] == severity
    assert severity in json.loads((DATA / "google_log_entry.json").read_text())["severities"]


@pytest.mark.parametrize(
    ("host", "domain", "port"),
    [
        ("shop.example", "shop.example", None),
        ("shop.example:8000", "shop.example", 8000),
        ("[::1]:80", "[::1]", 80),
        ("[::1]", "[::1]", None),
        ("a:b:80", "a:b:80", None),
        ("shop.example:port", "shop.example:port", None),
    ],
)
def test_the_host_is_split_into_name_and_port(host: str, domain: str, port: int | None) -> None:
    url = translate("ecs", host=host)["url"]

    assert (url["domain"], url.get("port")) == (domain, port)


def test_an_unknown_method_is_other_and_keeps_its_name() -> None:
    assert translate("otel", method="BREW")["attributes"] == {
        "log.record.uid": "1",
        "http.request.method": "_OTHER",
        "http.request.method_original": "BREW",
    }


def test_a_route_that_did_not_match_is_null_where_null_may_stand() -> None:
    assert translate("ecs", route=None)["http"] == {"route": None}
    assert translate("datadog", route=None)["http"] == {"route": None}
    assert "http.route" not in translate("otel", route=None)["attributes"]
    assert "logging.googleapis.com/labels" not in translate("gcp", route=None)
    assert translate("gcp", route="")["logging.googleapis.com/labels"] == {"route": ""}


def test_an_address_that_is_none_does_not_go_where_a_store_wants_an_address() -> None:
    assert translate("ecs", client_ip="10.0.0.x")["client"] == {"address": "10.0.0.x"}
    assert translate("ecs", client_ip="10.0.0.1")["client"] == {"ip": "10.0.0.1"}


def test_query_parameters_are_safe_again_after_they_were_decoded() -> None:
    line = translate("datadog", query="a=1&a=2&b=%00%ff&c.d=3&e&" + "&".join(f"x{n}=1" for n in range(100)))

    parameters = line["http"]["url_details"]["queryString"]
    assert {name: parameters[name] for name in ("a", "b", "c_d", "e")} == {
        "a": ["1", "2"],
        "b": "\ufffd\ufffd",
        "c_d": "3",
        "e": "",
    }
    assert len(parameters) <= 50


def test_a_trace_in_google_cloud_has_the_project_if_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)

    assert translate("gcp", trace_id=TRACE)["logging.googleapis.com/trace"] == TRACE


def test_labels_of_google_cloud_are_sixty_four_at_most_and_the_rest_is_not_lost() -> None:
    line = translate("gcp", **{f"name{number}": "text" for number in range(100)})

    assert len(line["logging.googleapis.com/labels"]) == 64
    assert len(line["app"]) == 36


# What the schemas promise


def paths(line: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every path of *line* with its value; lists are values."""
    for key, value in line.items():
        if isinstance(value, dict):
            yield from paths(value, (*above, key))
        else:
            yield (*above, key), value


def test_every_field_has_its_place_in_every_schema(schema: str) -> None:
    missing = set(FIELDS) - set(TABLES[schema].fields)
    unknown = set(TABLES[schema].fields) - set(FIELDS)

    assert not missing, f"say in SCHEMAS[{schema!r}] of obs_middleware/logs/schemas.py where these go: {missing}"
    assert not unknown, f"SCHEMAS[{schema!r}] has fields that are not in measure.vocabulary.FIELDS: {unknown}"


def test_the_type_of_the_names_has_every_schema() -> None:
    assert get_args(SchemaName) == tuple(SCHEMAS)


def test_logging_config_and_formatter_know_the_schemas() -> None:
    for name in get_args(SchemaName):
        assert logging_config(schema=name)["formatters"]["obs"]["schema"] == name
        JSONFormatter(schema=name)
    with pytest.raises(ValueError, match="expected one of flat, ecs, otel, datadog, gcp"):
        JSONFormatter(schema="ECS")  # type: ignore[arg-type]  # the mistake under test


def places(table: Schema) -> list[tuple[str, ...]]:
    """Return every path of *table*, once."""
    used = {to.path for fields in table.fields.values() for to in fields} | {path for path, _ in table.request_line}
    return sorted(used)


def test_no_place_is_inside_another_and_none_is_where_the_applications_fields_go(schema: str) -> None:
    table = TABLES[schema]
    used = [path for path in places(table) if path[-1] != "*"]
    dotted = [".".join(path) for path in used if path[0] != "log.level"]

    assert not [(a, b) for a in dotted for b in dotted if b.startswith(f"{a}.")]
    for own in table.own:
        inside = [path for path in used if path[: len(own.path)] == own.path]
        if own.prefix:
            assert not [path for path in inside if path[len(own.path)].startswith(own.prefix)]
        else:
            # Labels of our own have the names of fields, which no field of an application can have.
            assert {path[-1] for path in inside} <= set(FIELDS)


def test_one_place_has_one_field_unless_it_is_made_of_several(schema: str) -> None:
    seen: dict[tuple[str, ...], To] = {}
    for fields in TABLES[schema].fields.values():
        for to in fields:
            assert seen.setdefault(to.path, to).convert is to.convert, to.path


SHADOWING = [
    "event", "http", "url", "log", "error", "service", "labels", "app", "obs", "ecs", "user", "client", "trace", "span",
    "attributes", "resource", "body", "severity", "dd", "usr", "network", "duration", "evt", "httpRequest", "time",
    "event.id", "http.request.id", "log.level", "@timestamp", "a", "a.b", "message", "status", "level", "extra",
    "logging.googleapis.com/labels", "logging.googleapis.com/trace", "serviceContext", "stack_trace", "request_id",
]  # fmt: skip


@pytest.mark.parametrize("value", ["text", 1, {"id": "x", "request": 1}], ids=["text", "number", "tree"])
def test_fields_of_the_application_neither_shadow_nor_collide(
    schema: str, value: Any, written: Any, site: Site
) -> None:
    def bare(request: HttpRequest) -> HttpResponse:
        return HttpResponse("done")

    def shadowing(request: HttpRequest) -> HttpResponse:
        bind(**dict.fromkeys(SHADOWING, value))
        logger.info("x", extra={name: value for name in SHADOWING if name != "message"})
        return HttpResponse("done")

    lines = written(schema)
    site.get(bare)
    site.get(shadowing)
    (_, without), (_, other), (flat, line) = lines()

    own = TABLES[schema].own
    ours = {path: type(found) for path, found in paths(without)}
    for path, found in paths(line):
        named = [one for one in own if path[: len(one.path)] == one.path and path[len(one.path)].startswith(one.prefix)]
        if path in ours:
            assert type(found) is ours[path], path
        else:
            assert named, path
    assert {path for path, _ in paths(line)} >= set(ours)
    text = json.dumps(line)
    assert text.count('"x"' if isinstance(value, dict) else f": {json.dumps(value)}") >= len(SHADOWING)
    assert len([name for name in flat if name not in FIELDS]) == len(SHADOWING)
    assert json.dumps(other).count('"app_status"') + json.dumps(other).count('"app.app_status"') == 1


def test_a_value_of_the_wrong_type_does_not_take_the_place_of_a_field(schema: str) -> None:
    """Only a processor of the user can bring it there."""
    line = translate(schema, status="teapot", duration_seconds="long", slow=1, route=5, span_id="no hex")

    text = json.dumps(line)
    assert all(f"app_{name}" in text for name in ("status", "duration_seconds", "slow", "route"))
    assert "teapot" in text
    types = {to.path: to.form or FIELDS[name].type for name, fields in TABLES[schema].fields.items() for to in fields}
    for path, value in paths(line):
        if path in types:
            assert is_of_form(value, types[path]), path


@pytest.mark.parametrize("seconds", [-1.0, 1e10, 1e300, 2**60])
def test_a_duration_that_is_none_is_no_number_of_nanoseconds(seconds: float) -> None:
    """Beyond 64 bits it would not even be JSON that every encoder can write."""
    assert translate("ecs", duration_seconds=seconds)["app"] == {"app_duration_seconds": seconds}
    assert translate("datadog", duration_seconds=seconds)["app"] == {"app_duration_seconds": seconds}
    assert translate("gcp", duration_seconds=seconds)["app"] == {"app_duration_seconds": seconds}


def is_of_form(value: Any, form: str) -> bool:
    kinds: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict}
    kind = re.match(r"\w+", form)
    assert kind is not None
    if kind[0] == "array":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, kinds[kind[0]]) or (value is None and "null" in form)


# The published facts


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="") as file:
        return list(csv.DictReader(file))


KEYWORDS = {"keyword", "wildcard", "match_only_text", "ip", "date"}


@pytest.mark.parametrize("view", [order, failing])
def test_ecs_lines_have_the_names_and_types_of_ecs(view: Any, written: Any, site: Site) -> None:
    """Each field is in the published list, with a value of its type, or under a name that the list leaves free."""
    published = {row["field"]: row for row in rows("ecs_fields.csv")}
    lines = written("ecs")

    visit(site, view)

    for _, line in lines():
        for path, value in paths(line):
            name = ".".join(path)
            if path[0] in {"obs", "labels", "app", "event_id"} or name == "http.route":
                continue
            row = published[name]
            assert isinstance(value, list) == (row["normalization"] == "array"), name
            for one in value if isinstance(value, list) else [value]:
                assert type(one) is (int if row["type"] == "long" else str), name
                assert row["type"] in KEYWORDS | {"long"}, name


@pytest.mark.parametrize("view", [order, failing])
def test_ecs_lines_keep_the_specification_of_ecs_logging(view: Any, written: Any, site: Site) -> None:
    spec = json.loads((DATA / "ecs_logging_spec.json").read_text())
    lines = written("ecs")

    visit(site, view)

    for _, line in lines():
        assert list(line)[: len(spec["order"])] == spec["order"]
        assert set(spec["required"]) <= set(line)
        assert {key for key in line if "." in key} == set(spec["dotted_at_top"])
        found = {".".join(path): value for path, value in paths(line)}
        assert all(isinstance(found[name], str) for name in spec["strings"] if name in found)
        forbidden = set(spec["labels_key_forbidden"])
        assert not [key for key in line.get("labels", {}) if forbidden & set(key)]


@pytest.mark.parametrize("view", [order, failing])
def test_otel_lines_have_the_attributes_of_the_semantic_conventions(view: Any, written: Any, site: Site) -> None:
    published = {row["attribute"]: row["type"] for row in rows("otel_attributes.csv")}
    lines = written("otel")

    visit(site, view)

    for _, line in lines():
        assert set(line) <= {
            "timestamp", "severity_text", "severity_number", "body", "event_id", "event_name", "trace_id", "span_id",
            "instrumentation_scope", "resource", "attributes",
        }  # fmt: skip
        for name, value in {**line["attributes"], **line["resource"]["attributes"]}.items():
            if name.startswith("http.request.header."):
                assert [type(one) for one in value] == [str]
            elif name == "http.server.request.duration":
                assert type(value) is float
            elif not name.startswith(("obs.", "app.")):
                assert type(value) is {"string": str, "int": int}[published[name]], name
    # required of a server's request
    assert {"http.request.method", "url.path", "url.scheme", "http.response.status_code"} <= set(line["attributes"])


@pytest.mark.parametrize("view", [order, failing])
def test_datadog_lines_have_its_reserved_and_standard_attributes(view: Any, written: Any, site: Site) -> None:
    published = {row["attribute"]: row["type"] for row in rows("datadog_attributes.csv")}
    lines = written("datadog")

    visit(site, view)

    for _, line in lines():
        for path, value in paths(line):
            name = ".".join(path)
            ours = path[0] in {"obs", "app", "db", "event_id", "trace_id", "span_id"} or path[:2] == ("http", "headers")
            if ours or path[:3] == ("http", "url_details", "queryString"):
                continue
            kind = published[name].split()[0]
            assert type(value) is {"string": str, "date": str, "number": int}[kind], name


@pytest.mark.parametrize("view", [order, failing])
def test_google_lines_have_the_special_fields_and_those_of_http_request(view: Any, written: Any, site: Site) -> None:
    published = json.loads((DATA / "google_log_entry.json").read_text())
    lines = written("gcp")

    visit(site, view)

    for _, line in lines():
        ours = {"message", "logger", "event_id", "serviceContext", "stack_trace", "obs", "app"}
        assert set(line) <= set(published["special"]) | ours
        assert line["severity"] in published["severities"]
        assert all(isinstance(value, str) for value in line["logging.googleapis.com/labels"].values())
        for name, value in line["httpRequest"].items():
            kind = published["httpRequest"][name]
            assert type(value) is (int if kind == "int32" else str), name
            if kind == "int64 as string":
                assert str(value).isdigit()
    assert re.fullmatch(r"\d+\.\d{6}s", line["httpRequest"]["latency"])


# Hostile events


class Adding:
    """A processor that puts whatever it likes under our own names."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def __call__(self, _: Any, __: str, event_dict: Any) -> Any:
        event_dict.update(self.fields)
        return event_dict


HEADS = {
    name: ("timestamp", "level", "message") if table is None else tuple(table.first) for name, table in SCHEMAS.items()
}


def encoded(line: dict[str, Any], names: set[str]) -> str:
    """Return the fields of these *names* as text, in which 1, 1.0 and true are three."""
    return json.dumps({name: line[name] for name in names if name in line}, sort_keys=True)


@functools.cache
def hostile_formatter(schema: SchemaName, max_bytes: int) -> tuple[JSONFormatter, Adding]:
    adding = Adding()
    return JSONFormatter(schema=schema, service="shop", max_bytes=max_bytes, processors=[adding]), adding


ENCODERS = {True: encode._encode_orjson, False: encode._encode_stdlib}


@functools.cache
def bare_formatter(schema: SchemaName, max_bytes: int) -> JSONFormatter:
    return JSONFormatter(schema=schema, service="shop", max_bytes=max_bytes)


def json_equal(one: str, other: str) -> bool:
    return json.dumps(parse_line(one), sort_keys=True) == json.dumps(parse_line(other), sort_keys=True)


def write_hostile(
    schema: str, event: RequestEvent, message: Any, extra: dict[str, Any], added: dict[str, Any], max_bytes: int
) -> None:
    """Write an event with orjson and without, and look at the lines."""
    formatter, adding = hostile_formatter(schema, max_bytes)
    adding.fields = added
    record = logging.LogRecord("site", 20, __file__, 1, event.message or message, None, None)
    record.__dict__.update({name: value for name, value in extra.items() if name not in record.__dict__})
    current_event.set(event)
    try:
        lines = []
        bare = bare_formatter(schema, max_bytes)
        for has_orjson in (True, False):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(encode, "_HAS_ORJSON", has_orjson)
                patch.setattr(shortcut, "encode_scalars", ENCODERS[has_orjson])
                lines.append(formatter.format(record))
                if not added:
                    # Without processors the formatter may take its shortcut, and no line may show it.
                    assert json_equal(bare.format(record), lines[-1])
    finally:
        current_event.set(None)

    first, second = (parse_line(line) for line in lines)
    same = set(first) | set(second)
    if any('original_bytes"' in line for line in lines):
        # Of some floats the two write a character more or less, so of a line that shrinks one may lose a field more.
        same = set(HEADS[schema]).intersection(first, second)
    assert encoded(first, same) == encoded(second, same)
    for line in lines:
        assert len(line.encode()) + 1 <= max_bytes
        assert "\n" not in line
    assert first["event_id"] == record.__dict__["event_id"]
    if not added:
        assert set(HEADS[schema]) <= set(first)


LIMITS = [2_048, 4_096, 16_000]
OURS = sorted(set(FIELDS) - {"event_id"})
texts = st.text(st.characters(), max_size=50)


@pytest.mark.parametrize("schema", SCHEMAS)
@settings(max_examples=EXAMPLES)
@given(
    event=st.builds(
        hostile_event,
        texts,
        st.builds(lambda text, count: text * count, texts, st.integers(1, 300)),
        st.dictionaries(names, values, max_size=15),
        on_the_request_line=st.booleans(),
    ),
    message=texts | values,
    extra=st.dictionaries(names.filter(lambda name: name not in NOT_EXTRA), values, max_size=5),
    added=st.dictionaries(st.sampled_from(OURS), values, max_size=3),
    max_bytes=st.sampled_from(LIMITS),
)
def test_every_hostile_event_is_one_strict_line_within_its_limit(
    schema: str, event: RequestEvent, message: Any, extra: dict[str, Any], added: dict[str, Any], max_bytes: int
) -> None:
    write_hostile(schema, event, message, extra, added, max_bytes)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_hostile_events_in_numbers(schema: str) -> None:
    """``OBS_HOSTILE_EVENTS=100000`` tries so many; ``OBS_HOSTILE_SEED`` repeats those of a failure."""
    for number in range(EVENTS):
        seed = f"{SEED}-{number}"
        mischief = Mischief(seed)
        draw = mischief.random
        event = hostile_event(
            mischief.text(), mischief.text(), mischief.fields(12), on_the_request_line=draw.random() < 0.5
        )
        extra = {name: value for name, value in mischief.fields(3).items() if name not in NOT_EXTRA}
        added = {draw.choice(OURS): mischief.value()} if draw.random() < 0.3 else {}
        try:
            write_hostile(schema, event, mischief.value(), extra, added, draw.choice(LIMITS))
        except BaseException as error:
            error.add_note(f"OBS_HOSTILE_SEED={SEED}, event {number}")
            raise


NUMBERS = [2**53, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**400, float("nan"), float("-inf"), 1e300]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_odd_number_is_the_same_by_either_encoder_and_by_the_shortcut(schema: str, number: float) -> None:
    """Also inside the objects that a schema makes of the fields: beyond 64 bits it is text, and no number is null."""
    for on_the_request_line in (True, False):
        event = hostile_event("GET", "/", {"number": number}, on_the_request_line=on_the_request_line)
        for _ in range(2):  # a name is known to need no cleaning from the second time on
            write_hostile(schema, event, "paid", {}, {}, 16_000)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_at_the_edge_of_the_limit_a_float_may_be_written_longer_by_one_encoder(schema: str) -> None:
    """The line of one then fits and that of the other must shrink; both are bounded, and each says what it is."""
    for size in range(1_000, 2_000):
        event = hostile_event("GET", "/", {"small": 1e-7, "one": "x" * size, "two": "y"}, on_the_request_line=True)
        write_hostile(schema, event, "", {}, {}, 2_048)


# The documentation


def cell(path: tuple[str, ...]) -> str:
    """Return *path* as jq writes it."""
    return ".".join(key if re.fullmatch(r"@?\w+", key) or key == "*" else f'"{key}"' for key in path)


def documented(name: str) -> list[list[str]]:
    text = (DOCS / "schemas.md").read_text()
    (section,) = re.findall(rf"^## `{name}`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    table = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return [[part.strip("| ") for part in row] for row in table]


def expected_rows(table: Schema) -> Iterator[list[str]]:
    for name, fields in table.fields.items():
        for to in fields:
            where = f"`{cell(to.path)}`" if to.path[-1] != "*" else f"`{cell(to.path[:-1])}`"
            yield [f"`{name}`", where, to.form or FIELDS[name].type]


def test_the_tables_in_the_documentation_are_those_of_the_code(schema: str) -> None:
    assert documented(schema) == list(expected_rows(TABLES[schema]))


def test_the_lines_in_the_documentation_are_such_lines(schema: str) -> None:
    """Every path of the line that is shown has a place in the table, or is the application's."""
    text = (DOCS / "schemas.md").read_text()
    (section,) = re.findall(rf"^## `{schema}`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    (shown,) = re.findall(r"^```json\n(.+)\n```$", section, re.MULTILINE)
    table = TABLES[schema]
    known = set(places(table)) | {(key,) for key in table.first}
    for path, _ in paths(parse_line(shown)):
        own = any(path[: len(one.path)] == one.path and path[len(one.path)].startswith(one.prefix) for one in table.own)
        assert own or path in known or path[:-1] in known, path


def test_the_settings_are_read_where_tests_change_them(schema: SchemaName) -> None:
    formatter = JSONFormatter(schema=schema)
    record = logging.makeLogRecord({"msg": "x", "nickname": "y"})
    with override_settings(OBS_MIDDLEWARE={"REDACT": ["nickname"]}):
        assert "[redacted]" in formatter.format(record)
    assert "[redacted]" not in formatter.format(record)
