"""Large logs: their rows are in a file, and their ids are compared in parts. The answers are the same."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from loglines import FORMATS, events
from tables import FIELDS, Read, assert_as_written, write

from obs_middleware.read.files import table
from obs_middleware.read.files.predicate import Predicate
from obs_middleware.read.files.requests import FileRequests
from obs_middleware.read.files.sources import find_sources
from obs_middleware.read.files.table import Log, read_log
from obs_middleware.read.where.expression import parse


def stored(log: Log) -> set[str]:
    """Return the names of the tables that are in a file."""
    found = log.connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'stored'")
    return {name for (name,) in found.fetchall()}


@pytest.fixture(name="logs")
def _logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A log, and one that is large."""
    few, many = (
        write(tmp_path / name, [FORMATS["flat"](event) for event in events(number)])
        for name, number in (("few.log", 40), ("many.log", 400))
    )
    monkeypatch.setattr(table, "_LARGE_BYTES", many.stat().st_size)
    return few, many


@pytest.mark.parametrize("is_large_first", [False, True])
def test_the_rows_of_a_large_log_are_in_a_file(is_large_first: bool, logs: tuple[Path, Path], read: Read) -> None:
    few, many = logs
    names = {few: "few", many: "many"}

    read_logs = {path: read(path, table=names[path]) for path in (reversed(logs) if is_large_first else logs)}

    assert stored(read_logs[few]) == {"many_part_0", *(["few_part_0"] if is_large_first else [])}
    assert_as_written(read_logs[few], events(40))
    assert_as_written(read_logs[many], events(400))


def test_some_rows_of_a_large_log_are_in_the_file_too(logs: tuple[Path, Path], read: Read) -> None:
    log = read(logs[1])
    failed = sum(event["status"] == 500 for event in events(400))

    assert FileRequests(log).matching(parse("status = 500")).n == failed > 0
    assert len(stored(log)) == 2


@contextmanager
def full_disk() -> Iterator[None]:
    """
    Let no file of this process grow beyond the header of a database of DuckDB.

    This is no fixture: pytest writes its progress before the end of a fixture, and perhaps to a file.
    """
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (13_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_without_room_on_the_disk_all_rows_are_in_memory(logs: tuple[Path, Path], read: Read) -> None:
    with full_disk():
        log = read(logs[1])

        assert stored(log) == set()
        assert_as_written(log, events(400))
        assert FileRequests(log).matching(parse("status = 500")).n > 0


def test_a_folder_that_takes_no_file_is_no_obstacle(
    logs: tuple[Path, Path], connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    sources = find_sources([str(logs[1])], tmp_path)

    log = read_log(connection, sources, FIELDS, Predicate(), tmp_path / "missing")

    assert stored(log) == set()
    assert_as_written(log, events(400))


def test_a_log_that_is_large_without_compression_is_large(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.log.gz"
    path.write_bytes(gzip.compress("\n".join(FORMATS["flat"](event) for event in events(400)).encode()))
    monkeypatch.setattr(table, "_LARGE_BYTES", 2 * path.stat().st_size)

    assert stored(read(path)) == {"requests_part_0"}


@pytest.mark.parametrize("at_once", [1, 7, 400])
@pytest.mark.parametrize("number", [0, 399])
def test_a_repeated_line_is_found_in_each_part(
    number: int, at_once: int, tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_AT_ONCE", at_once)
    lines = [FORMATS["flat"]({**event, "event_id": f"shop-{n}"}) for n, event in enumerate(events(400))]

    once = read(write(tmp_path / "once.log", lines), table="once")
    twice = read(write(tmp_path / "twice.log", [*lines, lines[number]]), table="twice")

    assert (once.requests, once.repeated) == (400, 0)
    assert (twice.requests, twice.repeated) == (400, 1)


def test_a_large_log_with_repeated_lines_is_counted_once(
    logs: tuple[Path, Path], read: Read, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(table, "_AT_ONCE", 50)
    lines = [FORMATS["flat"]({**event, "event_id": f"shop-{n}"}) for n, event in enumerate(events(400))]

    log = read(write(tmp_path / "twice.log", lines * 2))

    assert (log.requests, log.repeated) == (400, 400)
    assert "requests_once" in stored(log)
    assert_as_written(log, events(400))


def test_a_damaged_archive_does_not_keep_the_rows_of_other_files_in_memory(
    logs: tuple[Path, Path], read: Read, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.log.gz"
    lines = "\n".join(FORMATS["flat"](event) for event in events(400, seed=9)).encode()
    damaged.write_bytes(gzip.compress(lines)[:-2_000])

    log = read(damaged, logs[1])

    number = log.connection.execute("SELECT count(*) FROM duckdb_tables() WHERE database_name = 'memory'").fetchone()
    assert stored(log) == {"requests_part_1", "requests_part_2", "requests_once"}
    assert number == (0,)
