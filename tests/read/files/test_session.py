"""One run of a command over files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from loglines import FORMATS, events
from tables import write

from obs_middleware.read.answers import STATS_FIELDS
from obs_middleware.read.errors import ExpressionError, SourceError
from obs_middleware.read.files.session import open_files
from obs_middleware.read.where.conditions import Compared, Every

NOW = dt.datetime(2026, 11, 2, 12, tzinfo=dt.UTC)
CONDITION = Compared("status", "=", 404.0)


@pytest.fixture(name="shop")
def _shop(tmp_path: Path) -> Path:
    return write(tmp_path / "shop.log", [FORMATS["flat"](event) for event in events(40)])


def test_each_reading_has_a_table_of_its_own(shop: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.log", [FORMATS["ecs"](event) for event in events(20)])

    with open_files(Every(), NOW) as session:
        first, second = (session.requests([str(path)], STATS_FIELDS) for path in (shop, other))

        assert (first.overview().requests, second.overview().requests) == (40, 20)


def test_the_progress_is_watched_while_files_are_read(shop: Path) -> None:
    seen: list[str] = []

    @contextmanager
    def watch(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        seen.append("begin")
        yield
        seen.append("end")

    with open_files(Every(), NOW, watch=watch) as session:
        session.requests([str(shop)], [])
        assert seen == ["begin", "end"]


def test_lines_are_counted_with_the_filters_and_another_condition(shop: Path) -> None:
    missing = sum(event["status"] == 404 for event in events(40))

    with open_files(CONDITION, NOW) as session:
        assert session.count(Compared("duration_seconds", ">=", 0.0), [str(shop)]) == missing
        assert session.count(Compared("status", "=", 200.0), [str(shop)]) == 0


def test_an_answer_without_requests_is_a_message(shop: Path, tmp_path: Path) -> None:
    foreign = write(tmp_path / "foreign.log", ["Traceback (most recent call last):"] * 3)

    with open_files(Compared("status", "=", 418.0), NOW) as session:
        with pytest.raises(SourceError, match=r"shop\.log: none of the 40 request lines passes the filters"):
            session.requests([str(shop)], [])
        with pytest.raises(SourceError, match=r"foreign\.log: no request line among 3 lines"):
            session.requests([str(foreign)], [])


def test_a_condition_is_tried_before_a_file_is_read() -> None:
    with (
        pytest.raises(ExpressionError, match="DuckDB rejects the condition"),
        open_files(Compared("path", "~", "("), NOW),
    ):
        pass


def test_a_size_of_memory_without_a_unit_is_a_message() -> None:
    with pytest.raises(ExpressionError, match="invalid --memory 'much'"), open_files(Every(), NOW, "much"):
        pass
