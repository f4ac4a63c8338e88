"""All commands read packs, and answer as for the log."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import duckdb
import pytest
from console import Run, write
from loglines import BARE, FORMATS, events, tasks
from mixed import everything
from packed import Pack

from obs_middleware.read.files.sources import find_sources
from obs_middleware.read.packs.rows import layout_of

QUESTIONS = [
    ["stats", "--by", "method,tenant"],
    ["stats", "--where", "message ~ 'took 0.0' and status < 500", "--by", "outcome"],
    ["stats", "--kind", "task"],
    ["slow", "--limit", "5"],
    ["time"],
    ["why"],
    ["check", "--p95", "1ms", "--errors", "50%"],
]


def asked(run: Run, *arguments: str | Path) -> Any:
    code, out, err = run(*arguments, "--format", "json")
    assert code in {0, 1}, err
    answer = json.loads(out, parse_float=lambda text: round(float(text), 9))  # the order of a sum changes it
    del answer["sources"]
    if arguments[0] == "why":  # a value at the mean may count as above it
        return [(group["keys"], group["n"]) for group in answer["groups"]]
    return answer


@pytest.mark.parametrize("name", [*FORMATS, *BARE, "mixed"])
def test_answers_are_those_of_the_log(name: str, pack: Pack, run: Run, tmp_path: Path) -> None:
    forms = {**FORMATS, **BARE}
    usual = forms.get(name, FORMATS["flat"])
    found = [{**event, "tenant": f"t{number % 3}"} for number, event in enumerate([*events(150), *tasks(40)])]
    lines = [usual(event) for event in found]
    if name == "mixed":
        lines += [form(event) for form in forms.values() for event in everything()]
        lines += ["Traceback", "{}", '{"level":"info","message":"Paid"', '{"level":"info","message":"Paid"}']
    log = write(tmp_path / "a.log", lines)
    pack(log)
    packs = tmp_path / "packs"
    questions = QUESTIONS if name in {"flat", "ecs", "mixed"} else QUESTIONS[:1]

    for question in questions:
        assert asked(run, *question, packs) == asked(run, *question, log), question


@pytest.mark.parametrize("name", ["flat", "ecs", "text"])
def test_lines_are_those_of_the_log(name: str, pack: Pack, run: Run, tmp_path: Path) -> None:
    found = events(100)
    log = write(tmp_path / "a.log", [{**FORMATS, **BARE}[name](event) for event in found])
    pack(log)
    packs = tmp_path / "packs"

    for words in (
        ["grep", "duration_seconds > 10ms"],
        ["grep", f"request_id = '{found[3]['request_id']}'"],
        ["request", "--format", "lines", str(found[3]["request_id"])],
        ["pretty"],
    ):
        assert run(*words, packs) == run(*words, log), words


def test_names_of_packs(pack: Pack, run: Run, tmp_path: Path) -> None:
    """A folder of packs, that of one day, a pattern, and a pack."""
    log = write(tmp_path / "a.log", [FORMATS["flat"](event) for event in events(50)])
    pack(log)
    (path,) = (tmp_path / "packs").rglob("*.parquet")
    everything = asked(run, "stats", log)

    for name in (tmp_path / "packs", path.parent, tmp_path / "packs" / "*" / "*.parquet", path):
        assert asked(run, "stats", name) == everything


def test_a_log_and_its_pack_count_once(pack: Pack, run: Run, tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [FORMATS["flat"](event) for event in events(50)])
    pack(log)

    answer = asked(run, "stats", tmp_path / "packs", log)

    assert answer["overview"]["requests"] == asked(run, "stats", log)["overview"]["requests"]


@pytest.mark.parametrize("names", [["a"], ["a", "b"]])
def test_a_line_that_is_there_again_counts_once(names: list[str], pack: Pack, run: Run, tmp_path: Path) -> None:
    """In one log, and in two logs of the same day."""
    lines = [FORMATS["flat"](event) for event in events(50)]
    logs = []
    for name in names:
        logs.append(write(tmp_path / f"{name}.log", [FORMATS["flat"](*events(1, ord(name))), *lines, lines[7]]))
        pack(logs[-1])

    answer = asked(run, "stats", tmp_path / "packs")

    assert answer == asked(run, "stats", *logs)
    assert answer["overview"]["requests"] == 50 + len(names)


def test_a_line_that_is_kept_as_text_counts_once(pack: Pack, run: Run, tmp_path: Path) -> None:
    lines = [FORMATS["flat"](event) for event in events(50)]
    log = write(tmp_path / "a.log", [*lines, "app-1  | " + lines[7]])
    pack(log)

    assert asked(run, "stats", tmp_path / "packs") == asked(run, "stats", log)


def test_the_ids_of_a_pack_are_known_to_be_different(
    connection: duckdb.DuckDBPyConnection, pack: Pack, tmp_path: Path
) -> None:
    """Readers rely on it, so it is not said of lines that are there twice or without a time."""
    found: list[tuple[Path, str]] = []
    for number in range(3):
        *lines, last = [FORMATS["flat"](event) for event in events(50, number)]
        untimed = re.sub('"timestamp":"[^"]*"', '"timestamp":"yesterday"', last)
        pack(write(tmp_path / f"{number}.log", [*lines, *([last], [last, lines[7]], [untimed])[number]]))
        (new,) = set((tmp_path / "packs").rglob("*.parquet")) - {path for path, _ in found}
        layout = layout_of(connection, new)
        assert layout is not None
        found.append((new, layout.day))

    assert [day for _, day in found] == [found[0][0].parent.name.removeprefix("day="), "", ""]


def test_a_pack_with_a_damaged_column_is_left_out(
    connection: duckdb.DuckDBPyConnection, pack: Pack, run: Run, tmp_path: Path
) -> None:
    log = write(tmp_path / "a.log", [FORMATS["flat"](event) for event in events(50)])
    pack(log)
    (path,) = (tmp_path / "packs").rglob("*.parquet")
    (place,) = connection.execute(
        "SELECT coalesce(dictionary_page_offset, data_page_offset) FROM parquet_metadata(?)"
        " WHERE path_in_schema = 'route'",
        [str(path)],
    ).fetchone() or (0,)
    data = bytearray(path.read_bytes())
    data[place : place + 40] = b"\xff" * 40
    path.write_bytes(data)

    code, _, err = run("stats", path, log)

    assert (code, str(path) in err) == (3, True), err


def test_packs_with_different_columns(pack: Pack, run: Run, tmp_path: Path) -> None:
    logs = [
        write(tmp_path / f"{name}.log", [FORMATS[name](event) for event in events(30, seed)])
        for seed, name in enumerate(FORMATS)
    ]
    for log in logs:
        pack(log)

    assert (
        asked(run, "stats", tmp_path / "packs")["overview"]["requests"]
        == asked(run, "stats", *logs)["overview"]["requests"]
    )


def test_many_packs_are_found_with_one_connection(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(write(tmp_path / "a.log", [FORMATS["flat"](event) for event in events(5)]))
    (path,) = (tmp_path / "packs").rglob("*.parquet")
    for number in range(5):
        (path.parent / f"{number}.parquet").write_bytes(path.read_bytes())
    connect = Mock(side_effect=duckdb.connect)
    monkeypatch.setattr(duckdb, "connect", connect)

    assert len(find_sources([str(tmp_path / "packs")], tmp_path)) == 6
    assert connect.call_count == 1


def test_a_damaged_pack_is_reported(pack: Pack, run: Run, tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [FORMATS["flat"](event) for event in events(50)])
    pack(log)
    (path,) = (tmp_path / "packs").rglob("*.parquet")
    for size in (path.stat().st_size // 2, 5):
        path.write_bytes(path.read_bytes()[:size])
        code, _, err = run("stats", path, log)
        assert code == 3
        assert str(path) in err


def test_a_folder_without_packs_and_a_foreign_file(run: Run, tmp_path: Path) -> None:
    code, _, err = run("stats", tmp_path)
    assert code == 2
    assert re.search(r"is a directory without packs: name its files, for example .*/\*\.log\*", err)


def test_a_pack_in_a_newer_form_is_refused(
    pack: Pack, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = write(tmp_path / "a.log", [FORMATS["flat"](event) for event in events(5)])
    pack(log)
    monkeypatch.setattr("obs_middleware.read.packs.rows.FORM", 2)

    code, _, err = run("stats", tmp_path / "packs")

    assert code == 2
    assert "packed by another version: update obs-middleware" in err
