"""`why` of an index, compared with `why` of the same lines in a file."""

from __future__ import annotations

from collections import Counter

import pytest
from console import Run
from faults import faulty
from indexed import Shop, both
from shipping.parts import Engine


@pytest.fixture(name="faults", scope="module")
def _faults(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(engine, tmp_path_factory.mktemp("faults"), faulty())


def alike(value: float | None, expected: float | None, off: float) -> bool:
    """Whether a mean is the same, although the ends of the bands may be off by a line."""
    if value is None or expected is None:
        return value is expected
    return value == pytest.approx(expected, rel=off, abs=max(0.001, off / 10))


def test_the_reasons_are_those_of_the_lines(run: Run, faults: Shop) -> None:
    here, there = both(run, faults, "why")

    assert [one["keys"] for one in there["groups"]] == [one["keys"] for one in here["groups"]]
    for ours, theirs in zip(here["groups"], there["groups"], strict=True):
        assert theirs["n"] == ours["n"]
        assert theirs["finding"] == ours["finding"]
        for band in ("slow", "ordinary"):
            assert theirs[band]["n"] == pytest.approx(ours[band]["n"], abs=1)
        for one, other in zip(theirs["parts"], ours["parts"], strict=True):
            assert (one["part"], one["field"], one["chance"]) == (other["part"], other["field"], other["chance"])
            assert alike(one["share"], other["share"], 0.02)
            assert alike(one["slow_seconds"], other["slow_seconds"], 0.1)
            assert alike(one["ordinary_seconds"], other["ordinary_seconds"], 0.1)
        for name, places in ours["places"].items():
            assert theirs["places"][name]["elsewhere"] == places["elsewhere"]
            for row, expected in zip(theirs["places"][name]["rows"], places["rows"], strict=True):
                assert (row["place"], row["n"]) == (expected["place"], expected["n"])
                for figure in ("mean", "most", "queries"):
                    assert row[figure] == pytest.approx(expected[figure])


@pytest.mark.parametrize(
    "field", ["db_repeats", "db_repeated_at", "blocked_seconds", "blocked_at", "slow_at", "queue_seconds"]
)
def test_requests_can_be_grouped_by_the_fields(field: str, run: Run, faults: Shop) -> None:
    here, there = both(run, faults, "stats", "--by", field, "--limit", "0")

    values = [line.get(field) for line in faults.lines]
    kind = type(next(value for value in values if value is not None))
    for found in (here, there):
        named = {row["keys"][0]: row["requests"] for row in found["groups"]["rows"]}
        assert {key if key is None else kind(key): n for key, n in named.items()} == Counter(values)


@pytest.mark.parametrize(
    ("limit", "code", "says"),
    [
        (["--queries", "43"], 0, "all limits are kept"),
        (["--queries", "42"], 1, "broken: queries 43 is above 42 (GET orders/, request "),
        (["--repeats", "10"], 1, "broken: repeats 40 is above 10 (GET orders/, request "),
        (["--blocked", "100ms"], 1, "broken: blocked 3"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_worst_request_is_that_of_the_lines(limit: list[str], code: int, says: str, run: Run, faults: Shop) -> None:
    here, there = (run("check", *where, *limit)[:2] for where in ([faults.file], faults.there))

    assert here[0] == there[0] == code
    assert here[1].startswith(says)
    assert there[1].splitlines()[0] == here[1].splitlines()[0]
