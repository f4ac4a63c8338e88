"""`obs-middleware diff`: two logs compared."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from console import Run, write
from loglines import FORMATS, Event, events


def test_diff_tells_a_real_change_from_chance(run: Run, log: Path, tmp_path: Path) -> None:
    """A second sample of the same distribution is chance; a checkout that is 50 % slower is real."""
    again = events(3_000, seed=5)
    slower = [
        event | ({"duration_seconds": event["duration_seconds"] * 1.5} if event["route"] == "checkout/" else {})
        for event in events(3_000, seed=6)
    ]
    paths = [
        write(tmp_path / f"{name}.log", [FORMATS["flat"](event) for event in side])
        for name, side in (("before", again), ("after", slower))
    ]

    data = json.loads(run("diff", *paths, "--by", "route", "--format", "json")[1])

    real = {(one["keys"][0], one["figure"]) for one in data["changes"] if one["real"]}
    assert {("checkout/", "p50"), ("checkout/", "p95")} <= real
    assert {route for route, _ in real} == {"checkout/"}
    assert data["error"] == 0.01
    assert 0 < data["level"] <= 0.01
    # Known figures: a change of the comparison must be intended.
    pinned = {
        "p50": (779, 744, 0.193511, 0.29657625, 0.071844, 0.1387775),
        "p95": (779, 744, 0.6805992, 0.893121525, 0.089928, 0.463416),
        "p99": (779, 744, 0.98805006, 1.450113075, -0.0979045, 1.233859),
    }
    for change in data["changes"][:3]:
        names = ("n_before", "n_after", "before", "after", "low", "high")
        assert change["keys"] == ["checkout/"]
        assert change["unit"] == "seconds"
        assert tuple(change[name] for name in names) == pytest.approx(pinned[change["figure"]], rel=1e-12)
    shown = run("diff", *paths)[1]
    assert re.search(r"POST +checkout/ +p50 .* slower", shown)


def test_diff_has_no_verdict_on_few_requests(run: Run, log: Path, tmp_path: Path, written: list[Event]) -> None:
    few = write(tmp_path / "few.log", [FORMATS["ecs"](event) for event in written[:10]])

    code, out, _ = run("diff", log, few, "--format", "json")

    durations = [one for one in json.loads(out)["changes"] if one["unit"] == "seconds"]
    assert code == 0
    assert {one["verdict"] for one in durations if one["figure"] != "p50"} == {"too few"}
    shown = run("diff", log, few)[1]
    assert re.search(r"too few: for so many .* needs about \d+ for p50, \d+ for p95, \d+ for p99", shown)


def test_diff_compares_errors_and_volume(run: Run, tmp_path: Path) -> None:
    """After the release a tenth of the requests fails, and they come twice as often."""
    lines = events(1_000, seed=1)
    failing = [
        event | ({"status": 500, "outcome": "error"} if number % 10 == 0 else {"status": 200, "outcome": "ok"})
        for number, event in enumerate(events(1_000, seed=2))
    ]
    slower = [event | {"timestamp": lines[number // 2]["timestamp"]} for number, event in enumerate(failing)]
    fine = [event | {"status": 200, "outcome": "ok"} for event in lines]
    paths = [
        write(tmp_path / f"{name}.log", [FORMATS["flat"](event) for event in side])
        for name, side in (("before", fine), ("after", slower))
    ]

    changes = json.loads(run("diff", *paths, "--by", "service", "--format", "json")[1])["changes"]

    errors, volume = changes[-2:]
    assert (errors["figure"], errors["unit"], errors["verdict"]) == ("errors", "share", "more")
    assert (errors["before"], errors["after"]) == (0.0, 0.1)
    assert (volume["figure"], volume["unit"], volume["verdict"]) == ("volume", "per_second", "more")
    assert 0.9 < volume["low"] <= volume["high"] < 1.1
    shown = run("diff", *paths, "--by", "service")[1]
    assert re.search(r"errors +0% +10.0% +\+10.0% .* more", shown)
    assert re.search(r"volume +1.00 /s +2.00 /s +\+1.00 /s +\+100% .* more", shown)


def test_diff_warns_of_durations_in_waves(run: Run, tmp_path: Path) -> None:
    waves = [
        event | {"duration_seconds": event["duration_seconds"] * (4 if number // 50 % 2 else 1)}
        for number, event in enumerate(events(1_000, seed=1))
    ]
    paths = [
        write(tmp_path / f"{name}.log", [FORMATS["flat"](event) for event in side])
        for name, side in (("even", events(1_000, seed=2)), ("waves", waves))
    ]

    assert "warning: durations come in waves in POST checkout/" in run("diff", *paths)[1]
    assert "waves" not in run("diff", paths[0], paths[0])[1]
    assert json.loads(run("diff", *paths, "--by", "route", "--format", "json")[1])["waves"]


def test_diff_is_the_same_every_time(run: Run, log: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "b.log", [FORMATS["gcp"](event) for event in events(300, seed=4)])

    assert run("diff", log, other, "--format", "csv") == run("diff", log, other, "--format", "csv")


def _failing(every: int) -> list[str]:
    return [
        FORMATS["flat"](event | {"status": 500 if number % every == 0 else 200, "outcome": "ok"})
        for number, event in enumerate(events(1_000, seed=every))
    ]


@pytest.mark.parametrize(
    ("kinds", "code"), [("errors", 1), ("slower", 0), ("volume", 0), ("slower,errors", 1), (" volume , errors", 1)]
)
def test_fail_on_decides_the_exit_code(kinds: str, code: int, run: Run, tmp_path: Path) -> None:
    before, after = (write(tmp_path / f"{every}.log", _failing(every)) for every in (100, 5))

    found, out, err = run("diff", before, after, "--fail-on", kinds)

    assert (found, err) == (code, "")
    assert out.startswith("failed: POST checkout/ errors more" if code else "nothing to fail on: ")
    failed = json.loads(run("diff", before, after, "--fail-on", kinds, "--format", "json")[1])["failed"]
    assert bool(failed) is bool(code)
    assert {(one["figure"], one["verdict"]) for one in failed} == ({("errors", "more")} if code else set())
    assert run("diff", before, after)[0] == 0


def test_fewer_errors_and_faster_figures_do_not_fail(run: Run, tmp_path: Path) -> None:
    before, after = (write(tmp_path / f"{every}.log", _failing(every)) for every in (5, 100))

    assert run("diff", before, after, "--fail-on", "slower,errors")[0] == 0


def test_fail_on_slower_and_on_volume(run: Run, tmp_path: Path) -> None:
    lines = events(1_000, seed=1)
    slow = [
        event | {"duration_seconds": 2 * event["duration_seconds"], "timestamp": lines[number // 2]["timestamp"]}
        for number, event in enumerate(lines)
    ]
    before, after = (
        write(tmp_path / f"{name}.log", [FORMATS["flat"](event) for event in side])
        for name, side in (("before", lines), ("after", slow))
    )

    for kind in ("slower", "volume"):
        assert run("diff", before, after, "--by", "service", "--fail-on", kind)[0] == 1
    assert run("diff", after, before, "--by", "service", "--fail-on", "slower")[0] == 0
    assert run("diff", after, before, "--by", "service", "--fail-on", "volume")[0] == 1


def test_fail_on_without_any_verdict_is_no_success(run: Run, log: Path, tmp_path: Path) -> None:
    few = write(tmp_path / "few.log", [FORMATS["flat"](event) for event in events(1)])

    code, out, err = run("diff", log, few, "--fail-on", "slower")

    assert code == 2
    assert "too few" in out
    assert "--fail-on slower has no answer: no such figure has a verdict; compare more requests" in err


@pytest.mark.parametrize("kinds", ["", "faster", "slower,error"])
def test_an_unknown_kind_is_a_message(kinds: str, run: Run, log: Path) -> None:
    code, out, err = run("diff", log, log, "--fail-on", kinds)

    assert (code, out) == (2, "")
    assert f"invalid --fail-on {kinds!r}: use slower, errors, volume, or several: slower,errors" in err
