"""Fixtures: a DuckDB connection, and `read`, which reads files into a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from tables import FIELDS, Read

from obs_middleware.read.files.database import connect
from obs_middleware.read.files.predicate import Predicate, predicate
from obs_middleware.read.files.sources import find_sources
from obs_middleware.read.files.table import Log, read_log
from obs_middleware.read.where.expression import parse


@pytest.fixture(name="connection")
def _connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with connect(scratch) as connection:
        yield connection


@pytest.fixture(name="read")
def _read(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> Read:
    def read(*names: str | Path, where: str | None = None, fields: set[str] = FIELDS, table: str = "requests") -> Log:
        scratch = tmp_path / "scratch"
        condition = Predicate() if where is None else predicate(parse(where))
        return read_log(connection, find_sources(map(str, names), scratch), fields, condition, scratch, table)

    return read
