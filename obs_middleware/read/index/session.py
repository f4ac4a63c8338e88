"""One run of a command that asks a search engine."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from obs_middleware.read.answers import FEW, Change, Requests
from obs_middleware.read.bootstrap import DRAWS, FIGURES, interval_of, ranks_of
from obs_middleware.read.index.access import Access
from obs_middleware.read.index.client import Engine, Fields
from obs_middleware.read.index.dsl import Query, query
from obs_middleware.read.index.requests import PAGE, EngineRequests, order, rank_error
from obs_middleware.read.schemas import TYPES
from obs_middleware.read.where.conditions import Condition, Every, fields_of
from obs_middleware.read.where.expression import parse

__all__ = ["EngineSession", "open_index"]

_LOOKED_UP: Final = 200
"""Of the ranks that are drawn, those that are looked up."""


@dataclass(frozen=True, slots=True)
class EngineSession:
    """
    One run of a command that asks a search engine.

    Attributes:
        indices: Names or patterns.
        condition: The filters.
        now: The moment from which ``--since 2h`` counts back.
    """

    engine: Engine
    indices: tuple[str, ...]
    condition: Condition
    now: dt.datetime

    def requests(self, names: Sequence[str], fields: Iterable[str]) -> EngineRequests:
        """
        Return the requests that the filters let pass.

        Args:
            names: Nothing; or, of a comparison, one of the indices or an expression that tells the side.
            fields: What is asked of them.

        Raises:
            SourceError: There is none.
        """
        index, condition = ",".join(self.indices), self.condition
        for name in names:
            if name in self.indices:
                index = name
            else:
                condition = Every((parse(name), condition))
        wanted = {*fields, *fields_of(condition)}
        found = self.engine.fields(index, wanted - {*TYPES})
        return EngineRequests(self.engine, index, found, query(condition, found.find))

    def changes(
        self, before: Requests, after: Requests, by: Sequence[str], limit: int | None = None
    ) -> tuple[Change, ...]:
        """
        Return how p50, p95 and p99 of each group differ, and the interval that `CONFIDENCE` of the differences are in.

        As for files it is that of bootstrap samples: ranks are drawn, and the engine says the durations there. The
        error of a digest is drawn too: a change that it might explain is not called one.
        """
        old, new = (side for side in (before, after) if isinstance(side, EngineRequests))
        ranked = [side.ranking(by) for side in (old, new)]
        together = {
            keys: max(one[keys].seconds for one in ranked if keys in one) for keys in {**ranked[0], **ranked[1]}
        }
        order = sorted(together, key=lambda keys: (-together[keys], [key or "" for key in keys]))[:limit]
        rows = []
        for side, ranking in zip((old, new), ranked, strict=True):
            kept = [ranking[keys] for keys in order if keys in ranking]
            rows.append({group.keys: group for group in side.figures(by, kept, None)})
        found = []
        for keys in order:
            sides = [one.get(keys) for one in rows]
            counts = [0 if group is None else group.durations.n for group in sides]
            drawn = None
            if min(counts) >= FEW:
                drawn = [
                    side.durations_at(by, ranking[keys], _ranks(n, f"{name} {keys}"))
                    for side, ranking, n, name in zip((old, new), ranked, counts, ("before", "after"), strict=True)
                ]
            for figure in FIGURES:
                low, high = (None, None) if drawn is None else _interval(drawn[0][figure], drawn[1][figure])
                was, now = (getattr(group.durations, figure) if group else None for group in sides)
                found.append(Change(keys, figure, counts[0], counts[1], was, now, low, high))
        return tuple(found)

    def lines(
        self, condition: Condition, names: Sequence[str], *, containing: str | None = None, by_time: bool = False
    ) -> Iterator[str]:
        """
        Yield the lines that *condition* and the filters let pass, as the index holds them, in the order of time.

        The other arguments are those of files, and have nothing to say here.
        """
        del names, containing, by_time
        index, wanted, fields = self._wanted(condition)
        body = {"size": PAGE, "query": wanted, "sort": order(fields), "track_total_hits": False}
        after: dict[str, Any] = {}
        while hits := self.engine.search(index, {**body, **after})["hits"]["hits"]:
            yield from (_line(hit.get("_source", {})) for hit in hits)
            after = {"search_after": hits[-1]["sort"]}

    def count(self, condition: Condition, names: Sequence[str]) -> int:
        """Return how many lines `lines` would yield."""
        del names
        index, wanted, _ = self._wanted(condition)
        return self.engine.count(index, wanted)

    def _wanted(self, condition: Condition) -> tuple[str, Query, Fields]:
        index, both = ",".join(self.indices), Every((condition, self.condition))
        fields = self.engine.fields(index, fields_of(both) - {*TYPES})
        return index, query(both, fields.find), fields


@contextmanager
def open_index(
    access: Access, indices: tuple[str, ...], condition: Condition, now: dt.datetime
) -> Iterator[EngineSession]:
    """Open a session with the search engine that *access* names; the connection is closed at the end of the block."""
    with Engine(access) as engine:
        yield EngineSession(engine, indices, condition, now)


def _line(source: Mapping[str, Any]) -> str:
    text = json.dumps(source, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character, which only an escape can say
        return json.dumps(source, separators=(",", ":"))
    return text


def _ranks(n: int, seed: str) -> dict[str, list[float]]:
    """Return, rising, the ranks from 0 to 1 that are looked up for each figure: every tenth of those drawn."""
    dice = random.Random(seed)  # noqa: S311 -- the same answer every time is wanted
    found = {}
    for figure, ranks in ranks_of(n, seed).items():
        error = rank_error(FIGURES[figure])
        moved = sorted(min(max(rank + dice.uniform(-error, error), 0.0), 1.0) for rank in ranks)
        step = DRAWS // _LOOKED_UP
        found[figure] = moved[step // 2 :: step]
    return found


def _interval(before: Sequence[float], after: Sequence[float]) -> tuple[float, float]:
    """Return the interval of all differences: the looked-up ranks of the two sides are not paired."""
    return interval_of(new - old for old in before for new in after)
