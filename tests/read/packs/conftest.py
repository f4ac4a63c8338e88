"""Fixture: `pack`, which packs a log and returns the lines of its packs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from console import Run
from packed import Kept, Pack

from obs_middleware.read.files.database import connect
from obs_middleware.read.packs.rows import layout_of, lines_in
from obs_middleware.read.packs.text import bytes_of


@pytest.fixture(name="connection")
def _connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(tmp_path) as connection:
        yield connection


@pytest.fixture(name="kept")
def _kept(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> Kept:
    """Return the lines of all packs, in the order of their names."""

    def kept() -> list[bytes]:
        found = []
        for path in sorted((tmp_path / "packs").rglob("*.parquet")):
            layout = layout_of(connection, path)
            assert layout is not None
            found += [bytes_of(line) for line in lines_in(connection, path, layout)]
        return found

    return kept


@pytest.fixture(name="pack")
def _pack(tmp_path: Path, run: Run, kept: Kept) -> Pack:
    def pack(log: Path, *options: str) -> list[bytes]:
        code, _, err = run("pack", log, "--to", tmp_path / "packs", *options)
        assert code == 0, err
        return kept()

    return pack
