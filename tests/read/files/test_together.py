"""Many small files are read as one, and every line counts as if each file had been read alone."""

from __future__ import annotations

import errno
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from unittest.mock import Mock

import duckdb
import pytest
from loglines import BARE, FORMATS, events
from tables import FIELDS, Read, assert_as_written, write

from obs_middleware.read.files import together as module
from obs_middleware.read.files.blocks import block_fields
from obs_middleware.read.files.matching import matching_lines
from obs_middleware.read.files.predicate import Predicate, predicate
from obs_middleware.read.files.sources import Source, find_sources
from obs_middleware.read.files.table import Log, read_log
from obs_middleware.read.files.together import together
from obs_middleware.read.remarks import Remarks
from obs_middleware.read.where.expression import parse

Give = Callable[..., list[Source]]


@pytest.fixture(name="sources")
def _sources(tmp_path: Path) -> Give:
    """Return the sources of files with one event each, and the events."""

    def sources(number: int, scratch: Path = tmp_path / "scratch") -> list[Source]:
        for n, event in enumerate(events(number)):
            write(tmp_path / f"{n:03}.log", [FORMATS["flat"](event)])
        return find_sources([str(tmp_path / "*.log")], scratch)

    return sources


@pytest.mark.parametrize(("number", "read"), [(49, 49), (50, 1), (300, 1)])
def test_many_files_are_one(number: int, read: int, sources: Give, tmp_path: Path) -> None:
    with together(sources(number), tmp_path) as found:
        assert len(found) == read
        assert len({source.path for source in found}) == read


def test_a_large_file_among_many_is_read_as_it_is(sources: Give, tmp_path: Path) -> None:
    some = sources(60)
    with some[7].path.open("a") as file:
        file.write("\n" * (1 << 20))

    with together(some, tmp_path) as found:
        assert [source.path for source in found[1:]] == [some[7].path]


def test_a_copy_is_limited(sources: Give, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 10_000)
    some = sources(60)

    with together(some, tmp_path) as (copy, *rest):
        assert 0 < copy.path.stat().st_size < 11_000
        lines = copy.path.read_text().count("\n")
        assert [source.path for source in rest] == [source.path for source in some[lines:]]


@pytest.mark.parametrize("ending", [KeyboardInterrupt, duckdb.Error, None])
def test_nothing_is_left_of_a_copy(ending: type[BaseException] | None, sources: Give, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    some = sources(60)

    def use() -> None:
        with together(some, scratch):
            assert len([*scratch.iterdir()]) == 1
            if ending is not None:
                raise ending

    if ending is None:
        use()
    else:
        with pytest.raises(ending):
            use()
    assert not [*scratch.iterdir()]


def test_a_full_disk_only_costs_time(
    sources: Give, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def append(path: Path, target: IO[bytes]) -> bool:
        target.write(path.read_bytes()[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_append", append)
    sources(60)

    assert_as_written(read(tmp_path / "*.log"), events(60))


def test_a_file_that_vanishes_is_named(sources: Give, tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    some = sources(60)
    some[7].path.unlink()
    remarks = Remarks()

    log = read_log(connection, some, FIELDS, Predicate(), tmp_path / "scratch", remarks=remarks)

    assert (log.requests, log.skipped) == (59, 0)
    (fault,) = remarks.faults
    assert some[7].name in fault


def test_the_blocks_of_many_files_are_one_question(
    sources: Give, tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    some = sources(60)
    some[7].path.write_text('{"bank_seconds":0.5,"level":"info"}')
    some[8].path.write_text('{"mail_seconds":0.5,"bank_seconds":0.5,"level":"info"}')
    asked = Mock(wraps=connection)

    assert block_fields(asked, some, tmp_path / "scratch") == ["bank_seconds", "mail_seconds"]
    assert asked.execute.call_count == 1


def test_the_lines_of_many_files_are_found_in_their_order(
    sources: Give, tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    """Also of a large file among them. Each run of small ones is one question."""
    some = sources(120)
    with some[60].path.open("a") as file:
        file.write("\n" * (1 << 20))
    asked = Mock(wraps=connection)

    found = matching_lines(asked, some, Predicate(), tmp_path / "scratch")

    assert [*found] == [source.path.read_text().strip() for source in some]
    assert sum("read_csv" in call.args[0] for call in asked.execute.call_args_list) == 3


def _file(lines: list[bytes], last: bytes, dice: random.Random) -> bytes:
    """Return the text of a file with *lines* and perhaps a part of *last*. It begins or ends as only a file does."""
    text = b"\n".join(lines)
    return dice.choice(
        [
            text,
            text + b"\n",
            text + b"\n\n\n",
            text.replace(b"\n", b"\r\n") + b"\r\n",
            b"\xef\xbb\xbf" + text + b"\n",
            text + b"\n" + last[:70],
            text + b"\n" + last[:-1],
            text + b"\nTraceback (most recent call last):",
            text + b"\n\xff\xfe\xe2\x82",
            text + b"\n" + bytes(40),
            text + b'\n{"log":"' + b"x" * 40,
            b"",
            b"\n",
            b"{",
        ]
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("forms", [["flat"], ["flat", "ecs", "gcp"], ["logfmt"], [*FORMATS]], ids=str)
def test_every_line_counts_as_if_each_file_were_read_alone(
    forms: list[str], seed: int, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(f"{forms} {seed}")
    written = events(720)
    other = json.dumps({"timestamp": written[0]["timestamp"], "level": "info", "message": "Paid"}).encode()
    for n in range(120):
        *lines, last = [FORMATS[dice.choice(forms)](event).encode() for event in written[n * 6 : n * 6 + 6]]
        lines += dice.choices([lines[0], other, BARE["text"](written[n]).encode(), b"[1, 2]", b""], k=dice.randrange(3))
        dice.shuffle(lines)
        (tmp_path / f"{n:03}.log").write_bytes(_file(lines, last, dice))

    found = _all_of(read(tmp_path / "*.log", table="joined"))

    monkeypatch.setattr(module, "_MANY", 1_000)
    assert found == _all_of(read(tmp_path / "*.log", table="alone"))


def _all_of(log: Log) -> tuple[Any, ...]:
    rows = log.connection.execute(f"SELECT * FROM {log.table}").fetchall()
    return log.requests, log.filtered, log.others, log.skipped, log.repeated, sorted(rows, key=str)


def test_a_single_carriage_return_costs_no_character_behind_a_file_with_dos_line_ends(
    sources: Give, tmp_path: Path
) -> None:
    """A progress bar goes back to the beginning of its line."""
    some = sources(60)
    line = some[7].path.read_bytes()
    some[0].path.write_bytes(some[0].path.read_bytes().replace(b"\n", b"\r\n"))
    some[7].path.write_bytes(b"10%\r20%\r" + line)
    wanted = predicate(parse(f"request_id = '{json.loads(line)['request_id']}'"))

    with duckdb.connect() as connection:
        found = [*matching_lines(connection, some, wanted, tmp_path / "scratch")]

    assert len(found) == 1


def test_a_folder_without_room_for_a_copy_is_no_error(
    sources: Give, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = sources(60)
    monkeypatch.setattr(tempfile, "mkstemp", Mock(side_effect=OSError(errno.ENOSPC, "full")))

    with together(some, tmp_path) as found:
        assert found == some


def test_a_schema_that_begins_late_in_a_small_file_is_found(tmp_path: Path) -> None:
    made = [*events(90)]
    lines = [FORMATS["ecs"](event) for event in made[:30]] + [FORMATS["gcp"](event) for event in made[30:]]
    path = write(tmp_path / "a.log", lines)

    (source,) = find_sources([str(path)], tmp_path / "scratch")

    assert set(source.schemas) >= {"ecs", "gcp"}
