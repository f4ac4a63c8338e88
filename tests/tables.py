"""Tables of requests: what was read from files, compared with plain Python over the events, and a table of one row."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from loglines import Event

from obs_middleware.read.answers import STATS_FIELDS
from obs_middleware.read.files.predicate import predicate
from obs_middleware.read.files.requests import FileRequests
from obs_middleware.read.files.table import Log
from obs_middleware.read.kinds import REQUEST
from obs_middleware.read.where.conditions import Condition

Read = Callable[..., Log]
FIELDS = {*STATS_FIELDS, *REQUEST.slow_fields, "view", "service", "tenant", "error_type", "error_message", "level"}
"""The fields that `read` keeps."""


def write(path: Path, lines: list[str], end: str = "\n") -> Path:
    path.write_text("\n".join(lines) + end)
    return path


def quantile(values: list[float], share: float) -> float:
    """Hyndman and Fan's type 7, from its definition."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def assert_as_written(log: Log, written: list[Event]) -> None:
    """Compare overview, groups and the slowest with plain Python over *written*."""
    assert log.requests == len(written)
    found = FileRequests(log).overview()
    seconds = [event["duration_seconds"] for event in written]
    assert found.requests == found.durations.n == len(written)
    assert found.errors == sum(event["status"] >= 500 for event in written)
    assert found.seconds == pytest.approx(sum(seconds))
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)):
        assert getattr(found.durations, name) == pytest.approx(quantile(seconds, share), rel=1e-6), name
    assert found.durations.max == pytest.approx(max(seconds))
    assert sum(bar.count for bar in found.histogram) == len(written)
    assert [found.first, found.last] == [
        dt.datetime.fromisoformat(end(event["timestamp"] for event in written)) for end in (min, max)
    ]
    rows = FileRequests(log).groups(("method", "route")).rows
    assert {row.keys for row in rows} == {(event["method"], event["route"]) for event in written}
    for row in rows:
        own = [event for event in written if (event["method"], event["route"]) == row.keys]
        assert row.requests == len(own)
        assert row.errors == sum(event["status"] >= 500 for event in own)
        assert row.share == pytest.approx(sum(one["duration_seconds"] for one in own) / sum(seconds))
        assert row.durations.p95 == pytest.approx(quantile([one["duration_seconds"] for one in own], 0.95), rel=1e-6)
    assert [row.seconds for row in rows] == sorted((row.seconds for row in rows), reverse=True)
    expected = sorted(written, key=lambda event: -event["duration_seconds"])[:5]
    assert [one.fields["request_id"] for one in FileRequests(log).slowest(5)] == [
        event["request_id"] for event in expected
    ]


ROW = {
    "status": (404, "INTEGER"),
    "duration_seconds": (0.25, "DOUBLE"),
    "route": ("orders/<int:pk>/", "VARCHAR"),
    "method": ("GET", "VARCHAR"),
    "view": (None, "VARCHAR"),
    "cart_items": ("12", "VARCHAR"),
    "vip": ("true", "VARCHAR"),
    "größe": (None, "VARCHAR"),
    "timestamp": (dt.datetime(2026, 11, 2, 10), "TIMESTAMP"),  # noqa: DTZ001 -- as DuckDB has it
}


def holds(condition: Condition) -> bool:
    """Return whether *condition* holds for `ROW`."""
    found = predicate(condition)
    columns = ", ".join(f'?::{kind} AS "{name}"' for name, (_, kind) in ROW.items())
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        row = connection.execute(
            f"SELECT count(*) FROM (SELECT {columns}) WHERE {found.sql}",
            [*(value for value, _ in ROW.values()), *found.parameters],
        ).fetchone()
    assert row is not None
    return bool(row[0])
