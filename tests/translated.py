"""Lines in the schemas: views whose lines have every field, translations of single fields, and published facts."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest.mock import patch

from conftest import Site
from django.http import HttpRequest, HttpResponse
from paths import DATA

from obs_middleware import annotate, bind, timed
from obs_middleware.logs.options import SchemaName
from obs_middleware.logs.schemas import SCHEMAS, Schema, Translation
from obs_middleware.measure import watching

TABLES = {name: schema for name, schema in SCHEMAS.items() if schema is not None}
"""The schemas that translate: all but `flat`."""
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

Lines = list[tuple[dict[str, Any], dict[str, Any]]]
"""Pairs of the same line, in the flat schema and in another."""
Written = Callable[[SchemaName], Callable[[], Lines]]
"""Starts to write lines twice, and returns a function that returns the pairs so far."""


def order(request: HttpRequest, number: int) -> HttpResponse:
    """A view that logs, and adds fields of every JSON type to its line."""
    logger.warning("Low stock")
    bind(tenant="t1", vip=True, cart={"a.b": 1, "a": [2]}, nothing=None)
    annotate(seats=3)
    with timed("stripe"):
        pass
    return HttpResponse("done")


def failing(request: HttpRequest, number: int) -> HttpResponse:
    raise ValueError("no good")


def visit(site: Site, view: Any) -> None:
    """Send a request that gives every optional field a value, and has a trace and a secret."""
    route, url = "orders/<int:number>/", "/orders/7/?page=2&token=s3cret"
    # Django's async client adds a second host instead of changing the first.
    headers = HEADERS | ({"host": "localhost:8000"} if site.mode == "sync" else {})
    # Every request is slow. On a busy machine the watching thread may see where one was, which would be one field more.
    with patch.object(watching, "_note_place"):
        site.get(view, url, route=route, headers=headers, OBS_MIDDLEWARE=EVERYTHING)


def port_of(flat: dict[str, Any], name: str) -> dict[str, int]:
    """Return the port under *name*, if the host has one: only the sync client can send another host."""
    return {name: 8000} if flat["host"].endswith(":8000") else {}


def sent(expected: dict[str, Any], flat: dict[str, Any]) -> dict[str, Any]:
    """Return *expected* without what the *flat* line lacks: the async client sends no address and no version."""
    for name in () if "client_ip" in flat else ("client", "client.address", "remoteIp"):
        drop(expected, name)
    for name in () if "http_version" in flat else ("version", "network.protocol.version", "protocol"):
        drop(expected.get("http", expected), name)
    return expected


def drop(line: dict[str, Any], name: str) -> None:
    """Remove *name* from *line*, at any place."""
    line.pop(name, None)
    for value in line.values():
        if isinstance(value, dict):
            drop(value, name)


def translate(schema: str, **fields: Any) -> dict[str, Any]:
    """Translate an event of a request that has *fields*."""
    head = {"timestamp": "2026-11-02T10:00:00.000000Z", "level": "info", "message": "x", "event_id": "1"}
    return Translation(TABLES[schema])("", "", {**head, **fields})


def paths(line: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every path of *line* with its value; lists are values."""
    for key, value in line.items():
        if isinstance(value, dict):
            yield from paths(value, (*above, key))
        else:
            yield (*above, key), value


def places(table: Schema) -> list[tuple[str, ...]]:
    """Return every path of *table*, once."""
    used = {to.path for fields in table.fields.values() for to in fields}
    return sorted(used | {path for constants in table.constants.values() for path, _ in constants})


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a published list in the data of the tests."""
    with (DATA / name).open(newline="") as file:
        return list(csv.DictReader(file))
