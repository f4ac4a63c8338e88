"""The lines that match a condition, with their fields or without."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
from loglines import FORMATS, events
from tables import write

from obs_middleware.read.files.matching import matching_lines, parsed_lines
from obs_middleware.read.files.predicate import Predicate, predicate
from obs_middleware.read.files.sources import find_sources
from obs_middleware.read.where.expression import parse


def test_matching_lines_come_as_they_are_and_in_order(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    written = events(500)
    forms = [*FORMATS.values()]
    lines = [forms[n % len(forms)](event) for n, event in enumerate(written)]
    path = write(tmp_path / "a.log", [*lines, '{"a":1}', "Traceback (most recent call last):", "tab\tand \x1b[31m"])
    scratch = tmp_path / "scratch"

    found = list(
        matching_lines(connection, find_sources([str(path)], scratch), predicate(parse("status = 500")), scratch)
    )

    assert found == [line for line, event in zip(lines, written, strict=True) if event["status"] == 500]
    assert found


def test_lines_of_a_request_come_in_order_of_time_across_files(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    event = events(1)[0]
    others = [
        json.dumps({"timestamp": f"2026-11-02T09:59:59.{n:06d}Z", "level": "info", "request_id": event["request_id"]})
        for n in range(5)
    ]
    new = write(tmp_path / "new.log", [FORMATS["flat"](event), *map(FORMATS["flat"], events(20, seed=3))])
    old = write(tmp_path / "old.log", others)
    scratch = tmp_path / "scratch"

    found = parsed_lines(
        connection,
        find_sources([str(new), str(old)], scratch),
        Predicate('"request_id" = ?', (event["request_id"],), frozenset({"request_id"})),
        scratch,
        ("timestamp", "status"),
        [["no such text", event["request_id"]]],
    )

    assert [line.text for line in found] == [*others, FORMATS["flat"](event)]
    assert [line.fields["status"] for line in found] == [None] * 5 + [event["status"]]
    assert [line.is_request for line in found] == [False] * 5 + [True]
