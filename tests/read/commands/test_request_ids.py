"""`obs-middleware request`: ids of every kind are found, and the number of questions is small."""

from __future__ import annotations

from pathlib import Path

import pytest
from console import Run, write
from loglines import FORMATS, unit
from stories import CHECKOUT, OTHERS, WEB, WORKER

from obs_middleware.read import gather
from obs_middleware.read.files.session import FileSession


@pytest.mark.parametrize("wanted", ['say "hi"', "größe-1", "back\\slash", "a/b", "x y", "'; DROP TABLE x"])
def test_an_id_that_is_escaped_in_the_line_is_found(run: Run, tmp_path: Path, wanted: str) -> None:
    lines = [
        unit("request", 1, 1.0, "ok", request_id=wanted, method="GET", path="/", status=200, tasks=[f"{wanted}-t"]),
        unit("task", 3, 1.0, "ok", task="shop.tasks.mail", task_id=f"{wanted}-t"),
    ]
    log = write(tmp_path / "a.log", [FORMATS["flat"](line) for line in lines])

    code, out, err = run("request", wanted, log)

    assert (code, err) == (0, "")
    assert "└─ shop.tasks.mail" in out


def test_a_request_without_tasks_costs_one_look_and_one_with_tasks_three(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look finds the tasks, and the third what the task without an id of the request has written."""
    looks = []
    parsed = FileSession.parsed

    def counting(self: FileSession, *arguments: object) -> object:
        looks.append(arguments)
        return parsed(self, *arguments)  # type: ignore[arg-type]  # whatever they are

    monkeypatch.setattr(FileSession, "parsed", counting)
    alone = WEB[1] | {"request_id": "alone", "event_id": "x", "tasks": []}
    log = write(tmp_path / "a.log", [FORMATS["flat"](line) for line in (*WEB, *WORKER, *OTHERS[:1], alone)])

    assert run("request", "alone", log)[0] == 0
    assert len(looks) == 1
    assert run("request", CHECKOUT, log)[0] == 0
    assert len(looks) == 1 + 3


def test_hundreds_of_tasks_are_one_story(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        unit("task", n, 0.5, "ok", task="shop.tasks.mail", task_id=f"t-{n}", tasks=[f"t-{n + 1}"]) for n in range(5)
    ]
    names = {"request_id": "r-1", "task": "shop.tasks.mail"}
    many = [unit("task", n, 0.5, "ok", **names, task_id=f"m-{n}") for n in range(1_200)]
    log = write(tmp_path / "a.log", [FORMATS["flat"](line) for line in (*lines, *many)])

    assert run("request", "t-3", log)[1].startswith("t-3: 6 tasks\n")  # and one that is to come
    code, out, err = run("request", "r-1", log)
    assert (code, out.partition("\n")[0], err) == (0, "r-1: 1,200 tasks", "")
    monkeypatch.setattr(gather, "MOST_IDS", 1_000)
    assert run("request", "r-1", log)[2] == (
        "obs-middleware: the story has more than 1,000 ids: the lines that only the others have are missing\n"
    )
