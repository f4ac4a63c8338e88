"""`obs-middleware check`: limits, and the exit code that tells whether they are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from console import Run, write
from loglines import BARE, Event


@pytest.mark.parametrize(
    ("limits", "code", "word"),
    [
        (["--p95", "60s", "--errors", "50%"], 0, "all limits are kept"),
        (["--p95", "1ms"], 1, "broken: p95"),
        (["--p95", "0"], 1, "broken: p95"),
        (["--errors", "0"], 1, "broken: errors"),
        (["--errors", "0.1%"], 1, "broken: errors"),
        (["--p50", "60s", "--max", "1ms"], 1, "broken: max"),
    ],
)
def test_check_answers_with_its_exit_code(limits: list[str], code: int, word: str, run: Run, log: Path) -> None:
    found, out, _ = run("check", log, *limits)

    assert found == code
    assert out.startswith(word)
    for form in ("json", "csv", "markdown"):
        assert run("check", log, *limits, "--format", form)[0] == code


def test_check_applies_the_filters(run: Run, log: Path) -> None:
    assert run("check", log, "--route", "checkout/", "--p50", "50ms")[0] == 1
    assert run("check", log, "--route", "", "--p50", "50ms")[0] == 0


@pytest.mark.parametrize(
    "arguments", [[], ["--errors", "many"], ["--errors", "101%"], ["--p95", "x"], ["--p95", "1s", "--least", "301"]]
)
def test_check_without_an_answer_exits_with_2(arguments: list[str], run: Run, log: Path) -> None:
    code, out, err = run("check", log, *arguments)

    assert (code, out) == (2, "")
    assert err


def test_check_does_not_count_unknown_errors_as_zero(run: Run, tmp_path: Path, written: list[Event]) -> None:
    log = write(tmp_path / "seed.log", [BARE["seed"](event) for event in written])

    assert run("check", log, "--errors", "1%")[0] == 2
    assert run("check", log, "--p95", "60s")[0] == 0


@pytest.mark.parametrize("figure", ["p50", "p90", "p95", "p99", "max"])
def test_check_refuses_a_duration_without_a_unit(figure: str, run: Run, log: Path) -> None:
    message = f"obs-middleware: invalid --{figure} '300': add a unit, for example 300ms, 300s or 300m\n"

    assert run("check", log, f"--{figure}", "300") == (2, "", message)


@pytest.mark.parametrize(("share", "cure"), [("1", "for example 1%"), ("0.01", "use 1% or 0.5%")])
def test_check_refuses_a_share_without_the_sign(share: str, cure: str, run: Run, log: Path) -> None:
    code, out, err = run("check", log, "--errors", share)

    assert (code, out) == (2, "")
    assert f"invalid --errors '{share}'" in err
    assert cure in err


@pytest.mark.parametrize("limit", [["--p95", "60s"], ["--errors", "100%"]])
@pytest.mark.parametrize("routes", [["checkuot/"], ["checkout/", "checkuot/"], ["", "checkuot/"]])
def test_check_refuses_a_route_without_requests(limit: list[str], routes: list[str], run: Run, log: Path) -> None:
    code, out, err = run("check", log, *limit, *(part for route in routes for part in ("--route", route)))

    assert (code, out) == (2, "")
    assert "no request line has the route 'checkuot/'" in err
    assert "'checkout/'" not in err


def test_check_refuses_a_route_that_other_filters_leave_without_requests(run: Run, log: Path) -> None:
    """The root is never asked for with POST."""
    code, out, err = run(
        "check", log, "--p95", "60s", "--route", "checkout/", "--route", "", "--method", "POST", "--format", "json"
    )

    assert (code, out) == (2, "")
    assert "no request line has the route ''" in err
