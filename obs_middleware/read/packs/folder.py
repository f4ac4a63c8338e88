"""
The folder of the packs: `working_in` locks it, `remove_old` removes old days.

Read.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from obs_middleware.platforms import lock
from obs_middleware.read.errors import SourceError
from obs_middleware.read.packs.pack import TEMPORARY

__all__ = ["remove_old", "working_in"]

_LOCK: Final = ".lock"
_DAY: Final = "day="
_NAME: Final = re.compile(r"[0-9a-f]{16}(-[0-9]+)?\.parquet")
"""The name of a pack. Files of others stay."""


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """
    Make *folder* if it is missing, and keep other processes from writing packs in it until the end of the block.

    Raises:
        SourceError: Another process writes packs in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not lock(descriptor, wait=False):
            raise SourceError(f"{folder}: another process is writing packs here: try again when it has finished")
        for rest in folder.glob(f"{_DAY}*/.*{TEMPORARY}"):
            rest.unlink()  # of a process that was killed
        yield
    finally:
        os.close(descriptor)


def remove_old(folder: Path, since: dt.datetime) -> list[str]:
    """Remove the packs of the days that ended before *since*, and return these days."""
    removed = []
    for place in sorted(folder.glob(f"{_DAY}*")):
        with suppress(ValueError):
            day = dt.date.fromisoformat(place.name.removeprefix(_DAY))
            if day >= since.astimezone(dt.UTC).date():
                continue
            for pack in place.glob("*.parquet"):
                if _NAME.fullmatch(pack.name):
                    pack.unlink()
            removed.append(day.isoformat())
            with suppress(OSError):  # somebody else keeps a file there
                place.rmdir()
    return removed
