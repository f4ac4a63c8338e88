"""`obs_middleware.read.story`: what caused what."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from loglines import Event, unit
from stories import said

from obs_middleware.read.gather import STORY_FIELDS
from obs_middleware.read.kinds import KINDS, REQUEST
from obs_middleware.read.parsed_line import ParsedLine
from obs_middleware.read.story import Unit, tree_of, walk


def parsed(line: Event) -> ParsedLine:
    fields = {name: line.get(name) for name in STORY_FIELDS}
    if fields["timestamp"] is not None:
        fields["timestamp"] = dt.datetime.fromisoformat(str(fields["timestamp"])).replace(tzinfo=None)
    fields["tasks"] = json.dumps(line["tasks"]) if "tasks" in line else None
    kind = KINDS.get(line.get("kind", ""), REQUEST) if "outcome" in line else None
    return ParsedLine(json.dumps(line), fields, kind)


def tree(*lines: Event) -> list[Any]:
    """Return the tree of *lines* as names: a unit with others below is a list."""

    def names(one: Unit) -> Any:
        own = [f"{one.name}?" if one.line is None else one.name, *(line.fields["message"] for line in one.lines)]
        return [*own, *map(names, one.units)] if one.units or one.lines else own[0]

    return [names(one) for one in tree_of([parsed(line) for line in lines])]


def request(ends: float = 1.0, seconds: float = 1.0, path: str = "/a", **fields: Any) -> Event:
    return unit("request", ends, seconds, "ok", **{"request_id": "r", "method": "GET", "path": path, **fields})


def task(name: str, ends: float, seconds: float = 0.1, **fields: Any) -> Event:
    return unit("task", ends, seconds, "ok", **{"request_id": "r", "task": name, "task_id": f"id-{name}", **fields})


def test_a_task_is_below_the_request_of_its_id() -> None:
    assert tree(request(), task("a", 3)) == [["GET /a", "a"]]


def test_a_task_is_below_the_attempt_that_was_running_when_it_was_enqueued() -> None:
    first = task("a", 2, 0.5) | {"outcome": "retry"}
    second = task("a", 9, 0.5)
    inner = task("b", 4, 0.1, parent_task_id="id-a", queue_seconds=2.0)

    assert tree(request(), first, second, inner) == [["GET /a", ["a", "b"], "a"]]
    assert tree(request(), first, second, inner | {"queue_seconds": 0.1, "timestamp": second["timestamp"]}) == [
        ["GET /a", "a", ["a", "b"]]
    ]


def test_the_list_of_tasks_joins_lines_that_have_no_id_in_common() -> None:
    assert tree(request(tasks=["id-a"]), task("a", 3, request_id=None)) == [["GET /a", "a"]]
    outer = task("a", 3, request_id=None, tasks=["id-b"])
    assert tree(request(tasks=["id-a"]), outer, task("b", 5, request_id=None)) == [["GET /a", ["a", "b"]]]


def test_a_retry_is_beside_its_first_attempt_and_not_below_itself() -> None:
    retry = task("a", 5, parent_task_id="id-a")

    assert tree(request(), task("a", 3), retry) == [["GET /a", "a", "a"]]
    assert tree(request(), task("o", 2), task("a", 3, parent_task_id="id-o"), retry) == [["GET /a", ["o", "a", "a"]]]


def test_a_call_of_another_service_is_below_the_request_that_made_it() -> None:
    """By its span, or for want of one by its time."""
    outer = request(span_id="s1")
    assert tree(outer, request(5, 0.1, "/b", parent_span_id="s1")) == [["GET /a", "GET /b"]]
    assert tree(outer, request(0.9, 0.2, "/b")) == [["GET /a", "GET /b"]]
    assert tree(outer, request(5, 0.1, "/b")) == ["GET /a", "GET /b"]


def test_a_line_is_in_the_attempt_that_was_running() -> None:
    lines = [said(n, "info", "shop", f"at {n}", request_id="r", task="a", task_id="id-a") for n in (1.6, 8.8)]

    assert tree(request(), task("a", 2, 0.5), task("a", 9, 0.5), *lines) == [
        ["GET /a", ["a", "at 1.6"], ["a", "at 8.8"]]
    ]


def test_a_unit_without_its_line_is_in_the_tree() -> None:
    """It still runs, its worker was killed, or its line was left out."""
    inside = said(2, "info", "shop", "hello", request_id="r", task="a", task_id="id-a")
    of_request = said(0.5, "info", "shop", "hello", request_id="r", method="GET", path="/a")

    assert tree(request(), inside) == [["GET /a", ["a?", "hello"]]]
    assert tree(of_request, task("a", 3)) == [["GET /a?", "hello", "a"]]
    assert tree(request(tasks=["id-z"])) == [["GET /a", "id-z?"]]


def test_a_task_that_enqueues_itself_for_ever_is_a_tree_of_bounded_depth() -> None:
    chain = [task("a", n, task_id=f"{n:04}", parent_task_id=f"{n - 1:04}") for n in range(1, 3_000)]

    roots = tree_of([parsed(line) for line in (request(), *chain)])

    assert len([*walk(roots)]) == 3_000
    depth, level = 0, roots
    while level:
        depth, level = depth + 1, [below for one in level for below in one.units]
    assert depth == 31


def test_damaged_lines_make_neither_a_circle_nor_an_error() -> None:
    circle = [task("a", 3, parent_task_id="id-b"), task("b", 4, parent_task_id="id-a")]

    (found,) = tree(*circle)
    assert json.dumps(found).count('"a"') == json.dumps(found).count('"b"') == 1
    assert tree(task("a", 1, 1e300), request(tasks=[["no", "id"], 7])) == [["GET /a", "a"]]
    assert tree(task("a", 3) | {"timestamp": None}, request()) == [["GET /a", "a"]]


def test_a_line_that_a_shipper_has_sent_again_is_there_once() -> None:
    again = task("a", 3) | {"shipper": "b"}

    assert tree(request(), task("a", 3), again) == [["GET /a", "a"]]
