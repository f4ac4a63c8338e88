"""The two sides of `obs-middleware diff`: two sources, or one that ``--at`` splits."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from console import Run, write
from indexed import Shop
from loglines import FORMATS, Event, events
from shipping.parts import Engine, engine_name, running_engine


def release(version: str | None = "1.2") -> list[Event]:
    """Return requests from 10:00 to 10:19:59, of which those from 10:10 took twice as long."""
    return [
        event
        | {"duration_seconds": event["duration_seconds"] * (2 if number >= 600 else 1)}
        | ({} if version is None else {"version": version if number >= 600 else "1.1"})
        for number, event in enumerate(events(1_200, seed=5))
    ]


@pytest.fixture(name="log")
def _log(tmp_path: Path) -> Path:
    return write(tmp_path / "release.log", [FORMATS["flat"](event) for event in release()])


def split(run: Run, *arguments: str | Path) -> tuple[int, int, bool]:
    """Return the requests before and after, and whether p50 is slower."""
    code, out, err = run("diff", *arguments, "--by", "service", "--format", "json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    before, after = (data[side]["overview"]["requests"] for side in ("before", "after"))
    return before, after, data["changes"][0]["verdict"] == "slower"


@pytest.mark.parametrize(
    "at",
    ["10:10", "10:10:00", "2026-11-02T10:10:00Z", "2026-11-02 10:10", "2026-11-02T12:10+02:00", "version", "Version"],
)
def test_one_source_is_split_at_a_time_or_a_version(at: str, run: Run, log: Path) -> None:
    assert split(run, log, "--at", at) == (600, 600, True)


def test_a_time_of_day_has_the_time_zone_of_the_option_and_is_the_last_in_the_log(
    run: Run, log: Path, tmp_path: Path
) -> None:
    day_before = [
        event | {"timestamp": event["timestamp"].replace("11-02", "11-01"), "event_id": f"old-{number}"}
        for number, event in enumerate(release())
    ]
    earlier = write(tmp_path / "earlier.log", [FORMATS["flat"](event) for event in day_before])

    assert split(run, log, "--at", "11:10", "--tz=+01:00") == (600, 600, True)
    assert split(run, earlier, log, "--at", "10:10")[:2] == (1_800, 600)


def test_several_files_and_standard_input_are_one_source(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [FORMATS["flat"](event) for event in release()]
    parts = [write(tmp_path / f"{number}.log", lines[number::2]) for number in (0, 1)]

    assert split(run, *parts, "--at", "10:10") == (600, 600, True)
    stream = io.TextIOWrapper(io.BytesIO("\n".join(lines).encode()))
    monkeypatch.setattr("sys.stdin", stream)
    assert split(run, "--at", "10:10") == (600, 600, True)


def test_the_last_two_of_several_versions_are_compared(run: Run, log: Path, tmp_path: Path) -> None:
    old = [
        event | {"version": "1.0", "timestamp": event["timestamp"].replace("T10", "T09"), "event_id": f"old-{number}"}
        for number, event in enumerate(release()[:100])
    ]
    earlier = write(tmp_path / "old.log", [FORMATS["flat"](event) for event in old])

    assert split(run, earlier, log, "--at", "version") == (600, 600, True)
    assert (
        "before: version 1.1, after: version 1.2; 1 older are left out"
        in run("diff", earlier, log, "--at", "version")[1]
    )


def test_the_answer_says_where_it_was_split(run: Run, log: Path) -> None:
    code, out, _ = run("diff", log, "--at", "10:10")

    assert code == 0
    assert "before and after 2026-11-02T10:10:00Z\nbefore: 1,200 lines read: 600 request lines, 600 filtered out" in out
    data = json.loads(run("diff", log, "--at", "version", "--format", "json")[1])
    assert data["at"] == {"versions": ["1.1", "1.2"]}


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("10:00", "leaves one side empty: use a time between 2026-11-02T10:00:00Z and 2026-11-02T10:19:59Z"),
        ("2026-11-03", "leaves one side empty"),
        ("1.2", "invalid --at '1.2': use a time"),
    ],
)
def test_a_split_without_two_sides_is_a_message(at: str, message: str, run: Run, log: Path) -> None:
    code, out, err = run("diff", log, "--at", at)

    assert (code, out) == (2, "")
    assert message in err


def test_lines_without_a_time_or_with_one_version_cannot_be_split(run: Run, tmp_path: Path) -> None:
    bare = write(tmp_path / "bare.log", ["Request took 0.1000 seconds"] * 40)
    same = write(tmp_path / "same.log", [FORMATS["flat"](event) for event in release("1.1")])
    none = write(tmp_path / "none.log", [FORMATS["flat"](event) for event in release(None)])

    assert "no line has a time" in run("diff", bare, "--at", "10:10")[2]
    assert "all lines have the version 1.1; use --at with a time" in run("diff", same, "--at", "version")[2]
    assert "no line has a version and a time; use --at" in run("diff", none, "--at", "version")[2]


def test_an_index_is_split_like_a_file(run: Run, tmp_path: Path) -> None:
    with running_engine(engine_name(), tmp_path) as engine:
        shop = _shop(engine, tmp_path)

        for at in ("10:10", "version"):
            assert split(run, *shop.there, "--at", at) == (600, 600, True)
        assert "give --index and no expressions" in run("diff", *shop.there, "--at", "10:10", "status = 200")[2]
        assert "leaves one side empty" in run("diff", *shop.there, "--at", "2026-11-03")[2]


def _shop(engine: Engine, folder: Path) -> Shop:
    return Shop(engine, folder, release())
