"""Every way in which a task of Celery can end, on real workers with each pool: exactly one correct line per attempt."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ports import HOST
from work.celery.workers import Site, wait_until
from work.redis_server import needs_redis, redis_server
from work.table import Row, check, row_of, without_us

pytestmark = [pytest.mark.work, needs_redis]

POOLS = ("prefork", "threads", "solo", "gevent")
FAILED = {"error", "timeout", "killed", "unknown"}


class Ending(NamedTuple):
    """
    One way to end.

    Attributes:
        text: What happens, for docs/reference/work.md.
        outcomes: The outcome of each line.
        pools: The pools in which it can happen.
        begins: Some process began the task.
        told_by_parent: The main process writes the line.
        plain: How many lines of Celery name the task, without this package and without "received".
    """

    text: str
    outcomes: tuple[str, ...]
    pools: tuple[str, ...] = POOLS
    begins: bool = True
    told_by_parent: bool = False
    plain: int = 1
    level: str | None = None


ENDINGS = {
    "ok": Ending("The task returns.", ("ok",)),
    "boom": Ending("It raises.", ("error",)),
    "declared": Ending("It raises an exception of its `throws`.", ("error",), level="info"),
    "bad arguments": Ending("It gets arguments that do not fit.", ("error",)),
    "unwritable": Ending("It returns a value that cannot be encoded.", ("error",)),
    "retried": Ending("It calls `self.retry()`, and then returns.", ("retry", "ok"), plain=2),
    "tired": Ending("`autoretry_for`, until the retries are used up.", ("retry", "error"), plain=2),
    "ignoring": Ending("It raises `Ignore`.", ("ignored",)),
    "rejecting": Ending("It raises `Reject`.", ("rejected",)),
    "replaced": Ending("It calls `self.replace()`. Both have one id.", ("ignored", "ok"), plain=2),
    "chain": Ending("A chain of two.", ("ok", "ok"), plain=2),
    "group": Ending("A group of two.", ("ok", "ok"), plain=2),
    "countdown": Ending("`countdown=1`: `queue_seconds` is 1.", ("ok",)),
    "calling": Ending("It calls `apply()` of another, which is part of it.", ("ok",)),
    "soft": Ending("The soft time limit.", ("timeout",), ("prefork",), plain=2),
    "hard": Ending("The hard time limit.", ("timeout",), ("prefork", "gevent"), told_by_parent=True),
    "exiting": Ending("`sys.exit()`.", ("killed",), ("prefork", "threads", "gevent"), told_by_parent=True, plain=0),
    "dying": Ending("`os._exit()`.", ("killed",), ("prefork",), told_by_parent=True, plain=0),
    "killed": Ending("SIGKILL, for example by the kernel.", ("killed",), ("prefork",), told_by_parent=True, plain=0),
    "terminated SIGTERM": Ending("Revoked while it runs.", ("revoked",), ("prefork", "gevent"), told_by_parent=True),
    "terminated SIGKILL": Ending("Revoked by SIGKILL.", ("revoked",), ("prefork",), told_by_parent=True),
    "revoked": Ending("Revoked before it began.", ("revoked",), begins=False, told_by_parent=True),
    "expired": Ending("It waited longer than `expires`.", ("expired",), begins=False, told_by_parent=True),
    "unknown": Ending("The worker does not know its name.", ("unknown",), begins=False, told_by_parent=True, plain=0),
    "slow": Ending("The worker gets SIGTERM while it runs.", ("ok",)),
}


def level_of(ending: Ending) -> str:
    last = ending.outcomes[-1]
    return ending.level or ("error" if last in FAILED else "warning" if last in {"retry", "rejected"} else "info")


@pytest.fixture(name="broker", scope="module")
def _broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield f"redis://{HOST}:{port}/0"


class Run(NamedTuple):
    """
    All endings of one pool in one worker.

    Attributes:
        ids: Ending -> ids of its tasks.
        records: The log.
    """

    ids: dict[str, list[str]]
    records: list[dict[str, Any]]

    def lines(self, ending: str) -> list[dict[str, Any]]:
        lines = [one for one in self.records if one.get("kind") == "task" and one["task_id"] in self.ids[ending]]
        return sorted(lines, key=lambda one: (self.ids[ending].index(one["task_id"]), one["attempt"], one["timestamp"]))


def options(pool: str) -> tuple[str, ...]:
    return ("-P", pool, "-c", "1" if pool == "solo" else "4")


@pytest.fixture(name="run", scope="module")
def _run(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    runs: dict[str, Run] = {}

    def run(pool: str) -> Run:
        if pool not in runs:
            site = Site(tmp_path_factory.mktemp(pool), broker, {})
            endings = [name for name, ending in ENDINGS.items() if pool in ending.pools]
            expected = sum(len(ENDINGS[name].outcomes) for name in endings if name != "slow")
            with site.worker(*options(pool)):
                ids = site.send(*endings)
                # "slow" still runs when the worker gets SIGTERM.
                others = {one for name, tasks in ids.items() if name != "slow" for one in tasks}
                wait_until((site.folder / f"runs-{ids['slow'][0]}").exists, "the slow task runs")
                wait_until(
                    lambda: sum(one["task_id"] in others for one in site.lines()) >= expected, f"lines of {endings}"
                )
            runs[pool] = Run(ids, site.records())
        return runs[pool]

    return run


@pytest.fixture(name="plain", scope="module")
def _plain(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, list[str]]]:
    """Ending -> the lines of Celery that name its tasks, without this package and without "received"."""

    def plain(pool: str) -> dict[str, list[str]]:
        site = Site(tmp_path_factory.mktemp(f"plain-{pool}"), broker, {"OBS_TEST_PLAIN": "1"})
        endings = [name for name, ending in ENDINGS.items() if pool in ending.pools]
        with site.worker("-l", "INFO", *options(pool)):
            ids = site.send(*endings)

            def found() -> dict[str, list[str]]:
                lines = (site.folder / "worker.txt").read_text().splitlines()
                told = [one for one in lines if one.startswith("[20") and not re.search(r"received$|flagged as", one)]
                return {name: [one for one in told if any(task in one for task in ids[name])] for name in endings}

            wait_until(
                lambda: all(len(lines) >= ENDINGS[name].plain for name, lines in found().items() if name != "slow"),
                "lines of Celery",
            )
        return found()

    return plain


@pytest.mark.parametrize("pool", POOLS)
def test_each_attempt_has_exactly_one_line_however_it_ends(pool: str, run: Callable[[str], Run]) -> None:
    result = run(pool)

    for name in result.ids:
        ending = ENDINGS[name]
        lines = result.lines(name)
        assert tuple(line["outcome"] for line in lines) == ending.outcomes, name
        assert lines[-1]["level"] == level_of(ending), name
        for line in lines:
            assert re.fullmatch(r"Task took \d+\.\d{4} seconds", line["message"])
            # The id, and the fields that the view has bound: small scalars only.
            assert (line["request_id"], line["tenant"]) == (f"of-{name.replace(' ', '-')}", "acme"), name
            assert "basket" not in line
            assert line["queue"] == "celery"
            assert (line["duration_seconds"] > 0) is ending.begins, name
            if pool == "prefork":
                assert ("db_queries" in line) is not ending.told_by_parent, name
        assert [line["attempt"] for line in lines] == ([1, 2] if name in {"retried", "tired"} else [1] * len(lines))
    assert result.lines("countdown")[0]["queue_seconds"] > 0.9
    if "hard" in result.ids:
        assert 0.9 < result.lines("hard")[0]["duration_seconds"] < 30
    ok = result.lines("ok")[0]
    assert (ok["db_queries"], ok["stripe_count"], ok["order"], ok["total"]) == (1, 1, 7, 12)
    boom = result.lines("boom")[0]
    assert (boom["error_type"], boom["error_message"]) == ("ValueError", "no stock")
    first, second = result.lines("chain")
    assert second["parent_task_id"] == first["task_id"]


@pytest.mark.parametrize("pool", POOLS)
def test_other_lines_have_the_context_and_celery_repeats_nothing(pool: str, run: Callable[[str], Run]) -> None:
    result = run(pool)

    paying = [one for one in result.records if one["message"] == "paying" and one["request_id"] == "of-ok"]
    assert [one["task_id"] for one in paying] == result.ids["ok"]
    own = {task for tasks in result.ids.values() for task in tasks}
    folded = re.compile(r"Task \S+\[(\S+)\] (received|succeeded|raised|ignored)")
    repeated = [one["message"] for one in result.records if (found := folded.match(one["message"])) and found[1] in own]
    assert repeated == []
    assert [one["message"] for one in result.records if "no stock" in str(one.get("stack_trace"))] == [
        result.lines("boom")[0]["message"]
    ]


def test_the_page_shows_the_table(run: Callable[[str], Run], plain: Callable[[str], dict[str, list[str]]]) -> None:
    rows: dict[str, list[Row]] = {name: [] for name in ENDINGS}
    for pool in POOLS:
        result, others = run(pool), plain(pool)
        for name in result.ids:
            lines = result.lines(name)
            without = without_us(others[name], " succeeded in ")
            rows[name].append(row_of(ENDINGS[name].text, pool, lines, f"of-{name.replace(' ', '-')}", without))
    check("Celery", [row for of_ending in rows.values() for row in of_ending])


def test_a_worker_that_is_stopped_at_once_writes_the_lines_of_its_tasks(broker: str, tmp_path: Path) -> None:
    """SIGQUIT is the cold shutdown: Celery kills the children. With `acks_late` another worker gets the task."""
    site = Site(tmp_path, broker, {})
    with site.worker(*options("prefork")) as worker:
        ids = site.send("long", "late")
        for (task,) in ids.values():
            wait_until((tmp_path / f"runs-{task}").exists, "the task runs")
        worker.send_signal(signal.SIGQUIT)
        wait_until(lambda: worker.poll() is not None, "the worker stops")

    assert sorted((line["request_id"], line["outcome"]) for line in site.lines()) == [
        ("of-late", "killed"),
        ("of-long", "killed"),
    ]


def test_no_line_is_lost_with_a_queue_of_its_own(broker: str, tmp_path: Path) -> None:
    """Children of `prefork` end without exit handlers, here after each task; the line is their last."""
    site = Site(tmp_path, broker, {"OBS_TEST_NONBLOCKING": "1"})
    with site.worker("-c", "2", "--max-tasks-per-child", "1"):
        sent = site.send("ok", "boom", "chain", "group", "slow")
        ids = [task for tasks in sent.values() for task in tasks]
        # "slow" may still run when the worker gets SIGTERM. A task that still waits then would stay in the queue.
        (slow,) = sent["slow"]
        others = set(ids) - {slow}
        wait_until((tmp_path / f"runs-{slow}").exists, "the slow task runs")
        wait_until(lambda: others <= {line["task_id"] for line in site.lines()}, "the lines")

    assert sorted(line["task_id"] for line in site.lines()) == sorted(ids)


def test_beat_keeps_the_logging_and_each_of_its_tasks_has_an_id(broker: str, tmp_path: Path) -> None:
    site = Site(tmp_path, broker, {})
    with site.beat(), site.worker(*options("threads")):
        wait_until(lambda: len(site.lines()) >= 2, "the lines")

    assert len({line["request_id"] for line in site.lines()}) == len(site.lines())
    own = [record["message"] for record in site.records() if record["logger"] == "celery.beat"]
    assert "beat: Starting..." in own
    assert sum("Sending due task every second" in message for message in own) >= 2
