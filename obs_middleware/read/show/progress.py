"""A progress bar on standard error, for work that takes longer than a moment."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import duckdb
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from obs_middleware.read.show.text import console

__all__ = ["working"]

_PATIENCE_SECONDS: Final = 0.5


@contextmanager
def working(connection: duckdb.DuckDBPyConnection, what: str) -> Iterator[None]:
    """
    Show the progress of DuckDB while the block runs. Nothing is shown if standard error is not a terminal.

    Args:
        connection: The connection that runs the query.
        what: Label of the bar.
    """
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(connection, what, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _watch(connection: duckdb.DuckDBPyConnection, what: str, done: threading.Event) -> None:
    if done.wait(_PATIENCE_SECONDS):
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=100)
        while not done.wait(0.1):
            bar.update(task, completed=max(connection.query_progress(), 0))
