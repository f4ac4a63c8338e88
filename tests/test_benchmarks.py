"""The benchmarks run, and the documentation shows their saved results. These tests do not judge any speed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks import saved
from benchmarks.figures import Figure, tables
from benchmarks.plot import chart
from benchmarks.processes import ROOT, workers
from benchmarks.rows import ROWS
from benchmarks.servers import SERVERS, time_servers
from benchmarks.shares import lead
from benchmarks.timing import costs, time_rows


def test_the_page_has_the_tables_of_the_saved_data() -> None:
    """`python -m benchmarks --again --save` updates the page and its chart."""
    page = saved.PAGE.read_text()
    data = saved.load()

    assert saved.with_tables(page, tables(data)) == page
    assert saved.PICTURE.name in page
    assert saved.PICTURE.read_text() == chart(data)


def test_the_readme_has_the_saved_figures() -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())

    assert " ".join(lead(saved.load()).split()) in readme


@pytest.mark.parametrize("driver", ["async chain", "sync chain"])
def test_every_row_writes_its_number_of_lines(driver: str) -> None:
    with workers(list(ROWS), driver, "watched", "time") as running:
        written = {worker.row: len(worker.ask("lines")) for worker in running}

    assert written == {name: row.lines for name, row in ROWS.items()}


def test_the_row_without_orjson_does_not_use_it() -> None:
    """Otherwise both rows would measure the same."""
    code = (
        "from benchmarks.rows import ROWS; from benchmarks.site import put_in_force;"
        "put_in_force(ROWS['ours-std'], 'sync', '/dev/null', 'plain');"
        "import sys; assert 'obs_middleware.logs.line.encode' in sys.modules; assert sys.modules['orjson'] is None"
    )

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_rows_are_timed_in_turns() -> None:
    times = time_rows(["nothing", "seed"], "sync chain", handler="watched", rounds=2, generations=1)

    assert {row: len(values) for row, values in times.items()} == {"nothing": 2, "seed": 2}
    assert min(min(values) for values in times.values()) > 0


def test_a_server_is_timed() -> None:
    wall, core = time_servers(SERVERS["gunicorn"], ["nothing", "ours"], handler="plain", rounds=1, batch=20)

    for times in (wall, core):
        assert times is None or all(values[0] > 0 for values in times.values())
    assert set(wall) == {"nothing", "ours"}


def test_the_stages_are_timed() -> None:
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.stages", "/dev/null", "plain", "2"],
        cwd=ROOT,
        check=True,
        timeout=120,
        stdout=subprocess.PIPE,
    ).stdout

    assert min(json.loads(output).values()) > 0


@pytest.mark.parametrize("variant", ["celery", "ours"])
def test_a_task_is_timed(variant: str) -> None:
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.tasks", variant, "/dev/null", "2"],
        cwd=ROOT,
        check=True,
        timeout=120,
        stdout=subprocess.PIPE,
    ).stdout
    times = json.loads(output)

    assert min(times.values()) > 0
    assert ("message" in times) is (variant == "ours")


def test_ratios_are_computed_round_by_round() -> None:
    """The second round is three times as slow for all rows, which does not change the ratios."""
    times = {"nothing": [10.0, 30.0, 10.0], "seed": [20.0, 60.0, 20.0], "ours": [15.0, 45.0, 15.0]}

    assert costs(times)["ours"].ratio == 0.5
    assert costs(times, unit="ours")["seed"].ratio == 2
    assert costs(times)["seed"].microseconds == 0.01


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure("small", 1.0, goal=1.0, limit=1.25), "yes"),
        (Figure("small", 1.2, goal=1.0, limit=1.25), "within limit"),
        (Figure("small", 1.3, goal=1.0, limit=1.25), "NO"),
        (Figure("large", 30, goal=30, at_least=True), "yes"),
        (Figure("large", 29, goal=30, at_least=True), "NO"),
    ],
    ids=["at the target", "within the limit", "over the limit", "large enough", "too small"],
)
def test_a_figure_knows_its_target(figure: Figure, verdict: str) -> None:
    assert figure.verdict == verdict
