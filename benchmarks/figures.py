"""Turn the raw data into tables, and compare the figures with their targets."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.markdown import paragraph, table
from benchmarks.peers import PEERS
from benchmarks.rows import ROWS
from benchmarks.shares import lead, scenario_table, share_table
from benchmarks.timing import Times, costs

__all__ = ["Figure", "figures", "tables"]

CHAINS = ("async chain", "sync chain")
MEMORY_BLOCKS = 200
"""Memory counts as flat if it grows by no more blocks, because some lists of the interpreter grow and shrink."""


@dataclass(frozen=True)
class Figure:
    """
    A figure with its target.

    Attributes:
        title: The name in the table.
        value: The measured value.
        goal: The target.
        limit: The hard limit, which is less strict than the target; None if the target is the limit.
        at_least: Whether the value must be at least the target; otherwise it must be at most the target.
        unit: The text after the number.
    """

    title: str
    value: float
    goal: float
    limit: float | None = None
    at_least: bool = False
    unit: str = ""

    @property
    def verdict(self) -> str:
        """``yes`` if the target is met, ``within limit`` if only the limit is, else ``NO``."""
        for limit, word in ((self.goal, "yes"), (self.limit, "within limit")):
            if limit is not None and (self.value >= limit if self.at_least else self.value <= limit):
                return word
        return "NO"


def figures(data: dict[str, Any]) -> Iterator[Figure]:
    """Yield the figures that have a target and are in *data*."""
    times = data["times"]
    for chain in CHAINS:
        if chain in times:
            yield from _of_chain(chain, times[chain])
    for driver, counts in data["counts"].items():
        if driver in CHAINS or driver.endswith("handler"):
            yield from _of_counts(driver, counts)
    if "lines" in data:
        yield Figure("fields on the line", len(json.loads(data["lines"]["ours"][0])), 14, at_least=True)
    if "further line" in times:
        yield Figure("a further line inside a request", costs(times["further line"])["ours"].ratio, 1.3, unit="x")
    if "query" in times:
        counted = costs(times["query"], unit="ours")["ours"].microseconds
        yield Figure("a query counted", counted, 1.0, unit=" us")
    if "tasks" in data:
        tasks = data["tasks"]
        yield Figure("a task of Celery, sent and done", tasks["ours"] / tasks["celery"], 1.3, unit="x")
        yield Figure("the message of a task", tasks["message"], 5.0, unit=" us")
    if "memory" in data:
        first, *_, last = data["memory"]["after"]
        title = f"memory blocks more, {data['memory']['requests']:,} requests"
        yield Figure(title, last["blocks"] - first["blocks"], MEMORY_BLOCKS)


def _of_chain(chain: str, times: Times) -> Iterator[Figure]:
    cost = costs(times)
    yield Figure(f"cost added, {chain}", cost["ours"].ratio, 1.0, 1.25, unit="x")
    for unit, what in (("seed-plain", "a text without rotation"), ("seed-bare", "the message alone, without rotation")):
        ratio = costs(times, unit)["ours-plain"].ratio
        yield Figure(f"  both through FileHandler, against {what}", ratio, 1.0, 1.25, unit="x")
    yield Figure(f"the same without orjson, {chain}", cost["ours-std"].ratio, 2.0, unit="x")
    yield Figure(f"excluded, {chain}", cost["ours-excluded"].ratio, 0.35, unit="x")
    yield Figure(f"sampled out, {chain}", cost["ours-sampled"].ratio, 0.35, unit="x")
    if "django-structlog" in times:
        cheaper = costs(times, unit="ours")["django-structlog"].ratio
        least = {"async chain": 30, "sync chain": 12}[chain]
        yield Figure(f"cheaper than django-structlog, {chain}", cheaper, least, at_least=True, unit="x")


def _of_counts(driver: str, counts: dict[str, dict[str, float]]) -> Iterator[Figure]:
    added = {name: counts["ours"][name] - counts["nothing"][name] for name in ("calls", "hops", "queries")}
    if driver in CHAINS:
        yield Figure(f"calls, {driver}", added["calls"], 110, 140)
    yield Figure(f"thread hops, {driver}", added["hops"], 0)
    yield Figure(f"database queries, {driver}", added["queries"], 0)


def tables(data: dict[str, Any]) -> dict[str, str]:
    """Return every table that can be made from *data*, by name."""
    packages = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    result = {"machine": f"{data['machine']}; `{data['handler']}`; {packages}.", "targets": _targets(data)}
    if "further line" in data["times"] and "sync chain" in data["times"]:
        result["clock"] = _by_clock(data)
    if data.get("instructions"):
        result |= {"lead": lead(data), "scenarios": scenario_table(data), "shares": share_table(data)}
    if any(chain in data["times"] for chain in CHAINS):
        result["rows"] = _rows(data)
    if "servers" in data or "WSGI handler" in data["times"]:
        result["whole"] = _wholes(data)
    if "stages" in data:
        result["stages"] = _stages(data)
    return result


def _by_clock(data: dict[str, Any]) -> str:
    """Return the sentence about the cost by the clock."""
    line, further = (costs(data["times"][driver])["ours"].ratio for driver in ("sync chain", "further line"))
    return paragraph(
        f"By the clock, on {data['date']}, a request line costs {line:.2f} times as much as the text, and a further "
        f"line in the request {further:.2f} times."
    )


def _targets(data: dict[str, Any]) -> str:
    """Return the table of the figures and their targets."""
    rows = [["figure", "measured", "target", "limit", "met"]]
    for figure in figures(data):
        sign = ">=" if figure.at_least else "<="
        limit = "" if figure.limit is None else f"{sign} {figure.limit:g}{figure.unit}"
        value = f"{figure.value:.2f}" if figure.unit else f"{figure.value:g}"
        rows.append(
            [figure.title, f"{value}{figure.unit}", f"{sign} {figure.goal:g}{figure.unit}", limit, figure.verdict]
        )
    return table(rows)


def _rows(data: dict[str, Any]) -> str:
    """Return the table of what each row adds to a request: microseconds, multiples of the seed, calls, lines."""
    chains = [chain for chain in CHAINS if chain in data["times"]]
    rows = [["row", *(f"{chain}, {unit}" for chain in chains for unit in ("us", "x a line of text", "calls")), "lines"]]
    cost = {chain: costs(data["times"][chain]) for chain in chains}
    for name, row in (ROWS | PEERS).items():
        if all(name in cost[chain] for chain in chains):
            cells = [row.title]
            for chain in chains:
                one, counts = cost[chain][name], data["counts"][chain]
                cells.append(f"{one.microseconds:.1f}")
                cells.append(f"{one.ratio:.2f} ({one.low:.2f} to {one.high:.2f})")
                cells.append(f"{counts[name]['calls'] - counts['nothing']['calls']:.0f}")
            rows.append([*cells, str(row.lines)])
    return table(rows)


def _wholes(data: dict[str, Any]) -> str:
    """Return the table of whole requests, through Django's handlers and behind real servers."""
    rows = [["through", "row", "us by the clock", "x nothing", "us on a core", "x nothing", "calls"]]
    wholes = {name: (times, None) for name, times in data["times"].items() if name.endswith("handler")}
    wholes |= {name: (measured["wall"], measured["core"]) for name, measured in data.get("servers", {}).items()}
    for name, (wall, core) in wholes.items():
        for row in wall:
            calls = f"{data['counts'][name][row]['calls']:.0f}" if name in data["counts"] else ""
            rows.append([name, ROWS[row].title, *_whole(wall, row), *_whole(core, row), calls])
    return table(rows)


def _whole(times: Times | None, row: str) -> list[str]:
    if times is None:
        return ["", ""]
    ratios = [one / nothing for one, nothing in zip(times[row], times["nothing"], strict=True)]
    return [f"{statistics.median(times[row]) / 1000:.0f}", f"{statistics.median(ratios):.2f}"]


def _stages(data: dict[str, Any]) -> str:
    """Return the table of the stages."""
    return table([["stage", "us"], *([stage, f"{value:.2f}"] for stage, value in data.get("stages", {}).items())])
