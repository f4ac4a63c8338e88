"""Every line comes back from a pack character for character, and most of its fields are columns."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import duckdb
import pytest
from console import Run, write
from hostile import Mischief
from loglines import BARE, FORMATS, events, tasks, unit
from packed import Pack

FLAT = FORMATS["flat"]


@pytest.mark.parametrize("name", [*FORMATS, *BARE])
def test_lines_of_every_format_come_back(name: str, pack: Pack, tmp_path: Path) -> None:
    lines = [{**FORMATS, **BARE}[name](event).encode() for event in [*events(200), *tasks(50)]]
    log = tmp_path / "a.log"
    log.write_bytes(b"".join(line + b"\n" for line in lines))

    assert pack(log) == lines


ODD = [
    b'{"timestamp":"2026-11-02T10:00:00.000001Z","level":"info","message":"m","a":0.1000,"b":1e5,"c":1E+05}',
    b'{"timestamp":"2026-11-02T10:00:00.000001Z","level":"info","message":"m","n":123456789012345678901234567890}',
    b'{"timestamp":"2026-11-02T10:00:00.000001Z","level":"info","message":"m","n":9007199254740993,"z":-0,"f":-0.0}',
    b'{"timestamp":"2026-11-02T10:00:00.000001Z","level":"info","message":"m","a":1,"a":2}',
    b'{"timestamp":"2026-11-02T10:00:00.000001Z","level":"info","message":"m","path":"/a","Path":"/b"}',
    b'{"level":"info","timestamp":"2026-11-02T10:00:00.000001Z","message":"order"}',
    b'{ "timestamp": "2026-11-02T10:00:00Z", "level": "info", "message": "spaces" }',
    b'{"timestamp":"2026-11-02T10:00:00.000001Z","level":"info","message":"m","route":null,"tags":[],"o":{}}',
    b'{"timestamp":"2026-11-02T10:00:00.000001Z","level":"info","message":"{} took 0.1234","duration_seconds":0.1234}',
    b'{"timestamp":"2026-11-02T10:00:00.000001Z","level":"info","message":"\\u00e9 \\/ \\"x\\" \\n","route":"null"}',
    '{"timestamp":"2026-11-02T10:00:00.000001Z","level":"info","message":"é \u2028 \U0001f600"}'.encode(),
    b'{"timestamp":"2026-11-02T10:00:00.000001Z","level":"info","message":"half',
    b'{"timestamp":17,"level":{"deep":{"deeper":[1,{"x":null}]}},"message":true}',
    b'{"timestamp":"9999-99-99T10:00:00.000001Z","level":"info","message":"no such day"}',
    b"Traceback (most recent call last):",
    b"",
    b"   ",
    b"\x00\x00\x00{}",
    b"caf\xe9",
    b"\x1d41",
    b"a\rb",
    b"a\x1f\x1e\x1fb",
    b'"quoted',
    b"\xef\xbb\xbfmark",
    b"[1, 2]",
    b"{}",
    b"null",
    b'{"":"","message":"","level":"","timestamp":""}',
]


@pytest.mark.parametrize("usual", [0, 50])
def test_odd_lines_come_back(usual: int, pack: Pack, tmp_path: Path) -> None:
    """Alone, and among lines whose columns they do not fit."""
    lines = [*(FLAT(event).encode() for event in events(usual)), *ODD]
    random.Random(usual).shuffle(lines)
    log = tmp_path / "a.log"
    log.write_bytes(b"\n".join(lines) + b"\n")

    assert pack(log) == lines


def test_hostile_fields_come_back(pack: Pack, tmp_path: Path) -> None:
    made = Mischief("pack")
    lines: list[bytes] = []
    for event in events(300):
        fields = {made.text(): made.text() for _ in range(3)}
        lines.append(json.dumps(event | fields, ensure_ascii=len(lines) % 2 == 0).encode("utf-8", "backslashreplace"))
    log = tmp_path / "a.log"
    log.write_bytes(b"\n".join(lines))

    assert pack(log) == lines


def test_windows_line_ends_and_archives(pack: Pack, tmp_path: Path) -> None:
    lines = [FLAT(event).encode() for event in events(20)]
    log = tmp_path / "a.log.gz"
    log.write_bytes(gzip.compress(b"\r\n".join(lines)))

    assert pack(log) == lines


def test_fields_are_columns(pack: Pack, tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Other programs read them without this package."""
    found = [{**event, "tenant": "t1", "sizes": [1, 2], "note": "a\nb"} for event in events(100)]
    log = tmp_path / "a.log"
    log.write_text("\n".join([*map(FLAT, found), "Traceback"]))
    pack(log)

    rows = connection.execute(
        "SELECT epoch_us(timestamp), status, duration_seconds::DOUBLE, route, tenant, sizes, note, day"
        f" FROM read_parquet('{tmp_path}/packs/*/*.parquet') WHERE _line IS NULL"
    ).fetchall()

    assert len(rows) == 100
    for row, event in zip(rows, found, strict=True):
        assert row[1:4] == (event["status"], event["duration_seconds"], event["route"])
        assert row[4:7] == ("t1", "[1,2]", "a\nb")
        assert str(row[7]) == "2026-11-02"


def test_the_size_of_usual_lines(pack: Pack, tmp_path: Path) -> None:
    """An id of 32 digits takes 16 bytes, and a message takes nothing beside its duration."""
    dice = random.Random(1)
    found = [
        unit("request", n, 0.1, "ok", method="GET", route="a/", status=200, request_id=f"{dice.getrandbits(128):032x}")
        for n in range(5_000)
    ]
    for event in found:
        event["duration_seconds"] = round(dice.random(), 6)
        event["message"] = f"Request took {event['duration_seconds']:.4f} seconds"
        event["event_id"] = f"aa-{len(event['message'])}"
    log = tmp_path / "a.log"
    log.write_text("".join(f"{FLAT(event)}\n" for event in found))
    pack(log)

    (path,) = (tmp_path / "packs").rglob("*.parquet")
    assert path.stat().st_size < 5_000 * 22


@pytest.mark.parametrize("folder", ["packs", "tenant=acme", "status=500"])
def test_names_of_folders_are_no_values(folder: str, run: Run, tmp_path: Path) -> None:
    """Programs like DuckDB read day=2026-11-02 as a value of the column ``day``."""
    lines = [FLAT({**event, "day": "monday", "tenant": "t1"}) for event in events(5)]
    log = write(tmp_path / "a.log", lines)

    code, _, err = run("pack", log, "--to", tmp_path / folder)

    assert (code, err) == (0, "")
    assert run("grep", "tenant = 't1' and day = 'monday'", tmp_path / folder) == (
        0,
        "".join(f"{line}\n" for line in lines),
        "",
    )


def test_fields_with_the_names_of_our_queries_are_columns(
    pack: Pack, tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    names = ["line", "same", "j", "_obs_line", "_obs_same", "_obs_kept", "_line"]
    lines = [FLAT(event | dict.fromkeys(names, "x")).encode() for event in events(5)]
    log = tmp_path / "a.log"
    log.write_bytes(b"\n".join(lines))

    assert pack(log) == lines
    found = connection.execute(f"SELECT line, same, j, _line FROM '{tmp_path}/packs/*/*.parquet'").fetchall()
    assert found == [("x", "x", "x", None)] * 5


@pytest.mark.parametrize("depth", [60, 900, 20_000])
def test_deep_objects_come_back(depth: int, pack: Pack, tmp_path: Path) -> None:
    usual = [FLAT(event) for event in events(5)]
    deep = [
        f'{usual[0][:-1]},"deep":{value}}}'
        for value in ('{"a":' * depth + "1" + "}" * depth, "[" * depth + "]" * depth)
    ]
    log = tmp_path / "a.log"
    log.write_text("\n".join([*usual, *deep]))

    assert pack(log) == [line.encode() for line in [*usual, *deep]]
