"""
The database of one run of a command: `connect` opens it, `make_table` makes a table in it.

Read. The tables are in memory, or in a file in the scratch folder after `store_in_file`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import duckdb

from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.files.columns import literal

__all__ = ["MEMORY", "connect", "make_table", "store_in_file"]

MEMORY: Final = "1500MiB"
"""Memory that DuckDB may use before it writes to disk. The rest of the process needs about 100 MiB."""

_IN_FILE: Final = "SET search_path = 'stored.main,memory.main'"
"""Where new tables are made, and where tables are looked for."""


@contextmanager
def connect(scratch: Path, memory: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """
    Open a new DuckDB database, which loads no extensions and does not use the network.

    Args:
        scratch: Folder for data that does not fit into memory.
        memory: Memory that it may use, for example ``2GiB``; None for `MEMORY`.

    Raises:
        ExpressionError: *memory* is not a size.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": str(scratch),
        "preserve_insertion_order": False,
    }
    connection = duckdb.connect(config=settings)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            connection.execute(f"SET memory_limit = {literal(memory or MEMORY)}")
        except duckdb.Error as error:
            raise ExpressionError(f"invalid --memory {memory!r}: use a size with a unit (500MiB, 4GiB)") from error
        yield connection
    finally:
        connection.close()


def store_in_file(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Make new tables in a file in *folder* from now on, if it can be made. Those in memory are still found."""
    with suppress(duckdb.Error):
        connection.execute(f"ATTACH IF NOT EXISTS {literal(str(folder / 'rows.duckdb'))} AS stored")
        connection.execute(_IN_FILE)


def make_table(connection: duckdb.DuckDBPyConnection, name: str, query: str, parameters: Sequence[Any] = ()) -> None:
    """Make or replace the table *name* with the rows of *query*. It is in memory if the disk has no room for it."""
    sql = f"CREATE OR REPLACE TABLE {name} AS {query}"
    try:
        connection.execute(sql, list(parameters))
    except (duckdb.IOException, duckdb.TransactionException):
        if connection.execute("SELECT current_database()").fetchall() == [("memory",)]:
            raise
        connection.execute("SET search_path = 'memory.main,stored.main'")
        try:
            connection.execute(sql, list(parameters))
        except duckdb.Error:
            # Then a file that is read is damaged, and the disk may have room.
            connection.execute(_IN_FILE)
            raise
