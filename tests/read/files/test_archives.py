"""Compressed files, and files in UTF-16."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb
import pytest
from loglines import FORMATS, events
from tables import Read, assert_as_written

from obs_middleware.read.files.database import connect
from obs_middleware.read.files.predicate import Predicate
from obs_middleware.read.files.sources import find_sources
from obs_middleware.read.files.table import read_log
from obs_middleware.read.remarks import Remarks

WRITTEN = events(40)
LINES = [FORMATS["flat"](event) for event in WRITTEN]
TEXT = "".join(f"{line}\n" for line in LINES)
WRAPPED = "".join(json.dumps({"MESSAGE": line, "_BOOT_ID": "1"}) + "\n" for line in LINES)
PARTS_OF_CRI = "".join(
    f"2026-11-02T10:00:00Z stdout P {line[:50]}\n2026-11-02T10:00:00Z stdout F {line[50:]}\n" for line in LINES
)


def zstd(text: bytes) -> bytes:
    """Compress by DuckDB: Python has no such module before 3.14."""
    lines = [[line] for line in text.decode().splitlines()]
    path = "obs.zst"
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE texts (line VARCHAR)")
        connection.executemany("INSERT INTO texts VALUES (?)", lines)
        connection.execute(
            f"COPY texts TO '{path}' (FORMAT csv, HEADER false, QUOTE '', DELIMITER '\t', COMPRESSION zstd)"
        )
    return Path(path).read_bytes()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": partial(bz2.compress, compresslevel=1),
    "xz": lzma.compress,
    "two of bzip2": lambda text: bz2.compress(text[:1_000]) + bz2.compress(text[1_000:]),
    "zstd": zstd,
    "utf-16": lambda text: text.decode().encode("utf-16"),
    "utf-16 from the other end": lambda text: b"\xfe\xff" + text.decode().encode("utf-16-be"),
    "utf-16 in gzip": lambda text: gzip.compress(text.decode().encode("utf-16")),
}


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", "\r\n"), WRAPPED, PARTS_OF_CRI])
def test_archives_are_read(packer: str, text: str, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "shop.log"
    path.write_bytes(PACKERS[packer](text.encode()))

    log = read(path)

    assert_as_written(log, WRITTEN)
    assert not log.skipped
    assert len(list((tmp_path / "scratch").iterdir())) <= 1, "copies of copies are removed"


@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz"])
@pytest.mark.parametrize("text", ["plain", "wrapped"])
def test_a_damaged_archive_is_read_in_part_and_named(packer: str, text: str, tmp_path: Path) -> None:
    lines = [FORMATS["flat"](event) for event in events(5_000)]
    wrapped = [json.dumps({"MESSAGE": line, "_BOOT_ID": "1"}) for line in lines]
    packed = PACKERS[packer]("\n".join(lines if text == "plain" else wrapped).encode())
    path = tmp_path / "shop.log"
    path.write_bytes(packed[: len(packed) * 2 // 3])
    remarks = Remarks()

    with connect(tmp_path) as connection:
        sources = find_sources([str(path)], tmp_path, remarks=remarks)
        log = read_log(connection, sources, ["status"], Predicate(), tmp_path, remarks=remarks)

    assert 100 < log.requests < 5_000
    (fault,) = remarks.faults
    assert fault.startswith(f"{path}: read only in part: ")


@pytest.mark.parametrize("size", [3_000_000, 40_000_000])
def test_a_long_line_in_zstandard_costs_only_itself(
    size: int, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "shop.log.zst"
    path.write_bytes(zstd("\n".join([*LINES[:20], "x" * size, *LINES[20:]]).encode()))

    log = read(path)

    assert_as_written(log, WRITTEN)
    assert log.skipped == 1
