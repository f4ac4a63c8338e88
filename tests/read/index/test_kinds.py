"""``--kind`` asked of a search engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from console import Run
from indexed import Shop
from mixed import HELLO, REQUESTS, TASKS, asked, everything
from shipping.parts import Engine


@pytest.fixture(name="mixed", scope="module")
def _mixed(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The same lines in a file and in an index."""
    return Shop(engine, tmp_path_factory.mktemp("mixed"), [*everything(), {**HELLO, "event_id": "hello"}])


@pytest.mark.parametrize("kind", ["request", "task", "command", "websocket"])
@pytest.mark.parametrize("command", ["stats", "slow", "time", "check"])
def test_files_and_an_index_say_the_same(run: Run, mixed: Shop, command: str, kind: str) -> None:
    more = ["--max", "1h"] if command == "check" else []
    here, there = (asked(run, command, *where, "--kind", kind, *more) for where in ([mixed.file], mixed.there))

    def exact(found: Any) -> Any:
        """Return the figures that are no percentiles."""
        return json.loads(json.dumps(found), object_hook=without_estimates)

    assert exact(here) == exact(there)


def without_estimates(found: dict[str, Any]) -> dict[str, Any]:
    left_out = {"p50", "p90", "p95", "p99", "p999", "mean", "sources", "lines", "approximate", "seconds", "share"}
    return {name: round(one, 6) if type(one) is float else one for name, one in found.items() if name not in left_out}


def test_diff_compares_tasks_by_name(run: Run, mixed: Shop) -> None:
    for where in ([mixed.file], mixed.there):
        found = asked(run, "diff", *where, "--kind", "task", "--at", "10:00:40")

        assert {tuple(change["keys"]) for change in found["changes"]} == {(event["task"],) for event in TASKS}
        assert (found["before"]["overview"]["requests"], found["after"]["overview"]["requests"]) == (40, 40)


def test_an_index_that_is_older_than_the_kinds_has_requests_only(run: Run, engine: Engine, tmp_path: Path) -> None:
    """It has no field for the kind."""
    there = Shop(engine, tmp_path, REQUESTS).there

    code, _, err = run("stats", *there, "--kind", "task")

    assert (code, err.endswith(": no task line\n")) == (2, True)
    assert asked(run, "stats", *there)["overview"]["requests"] == 60


def test_the_report_of_tasks_speaks_of_tasks(run: Run, mixed: Shop) -> None:
    pages = [run("report", *where, "--kind", "task", "--title", "shop")[1] for where in ([mixed.file], mixed.there)]

    for page in pages:
        assert "Report of tasks" in page
        assert "Slowest tasks" in page
        assert "shop.tasks.charge" in page
        assert "TimeLimitExceeded" in page
        body = page.partition("<body>")[2]
        assert "equests" not in body
        assert "Route" not in body


def test_the_last_line_names_the_kind(run: Run, mixed: Shop) -> None:
    assert "80 task lines of http" in run("stats", *mixed.there, "--kind", "task")[1]
