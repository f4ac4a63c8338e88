"""One run of a command that asks a search engine."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from obs_middleware.read.index.access import Access
from obs_middleware.read.index.client import Client
from obs_middleware.read.index.dsl import Query, query
from obs_middleware.read.index.fields import Fields, value_in
from obs_middleware.read.index.requests import IndexRequests
from obs_middleware.read.index.side import PAGE
from obs_middleware.read.remarks import Remarks
from obs_middleware.read.schemas import TYPES
from obs_middleware.read.where.conditions import Condition, Every, Missing, Not, fields_of, starts_with
from obs_middleware.read.where.expression import parse

__all__ = ["IndexSession", "open_index"]


@dataclass(frozen=True, slots=True)
class IndexSession:
    """
    One run of a command that asks a search engine.

    Attributes:
        client: The connection to the search engine.
        indices: Names or patterns of indices.
        condition: The filters.
        now: The time that ``--since 2h`` counts back from.
        remarks: Nothing: what a search engine cannot answer is an error.
    """

    client: Client
    indices: tuple[str, ...]
    condition: Condition
    now: dt.datetime
    remarks: Remarks = field(default_factory=Remarks)

    def requests(
        self, names: Sequence[str], fields: Iterable[str], chosen: Mapping[str, float] | None = None
    ) -> IndexRequests:
        """
        Return the requests that pass the filters.

        Args:
            names: Empty, or for a side of a comparison one of the indices or an expression.
            fields: The fields that you are going to ask for.
            chosen: Percentiles to compute beside `SHARES`: name -> share of the durations below it.

        Raises:
            SourceError: No request passes the filters.
        """
        index, condition = ",".join(self.indices), self.condition
        for name in names:
            if name in self.indices:
                index = name
            else:
                condition = Every((parse(name), condition))
        wanted = {*fields, *fields_of(condition)}
        with self.client.understood():
            found = self.client.fields(index, wanted - {*TYPES})
            return IndexRequests(self.client, index, found, condition, chosen or {})

    def lines(self, condition: Condition, names: Sequence[str]) -> Iterator[str]:
        """Yield the documents that match *condition* and the filters, in the order of time."""
        del names
        index, wanted, fields = self._wanted(condition)
        yield from map(_line, self._documents(index, wanted, fields))

    def lines_by_request(self, start: str, names: Sequence[str]) -> dict[str, list[str]]:
        """Return the documents whose request id begins with *start* and that match the filters: id -> lines."""
        del names
        index, wanted, fields = self._wanted(starts_with("request_id", start))
        place = fields.name("request_id").removesuffix(".keyword").split(".")
        found: dict[str, list[str]] = {}
        for document in self._documents(index, wanted, fields):
            found.setdefault(str(value_in(document, place)), []).append(_line(document))
        return found

    def _documents(self, index: str, wanted: Query, fields: Fields) -> Iterator[Mapping[str, Any]]:
        body = {"size": PAGE, "query": wanted, "sort": fields.order(), "track_total_hits": False}
        after: dict[str, Any] = {}
        with self.client.understood():
            while hits := self.client.search(index, {**body, **after})["hits"]["hits"]:
                yield from (hit.get("_source", {}) for hit in hits)
                after = {"search_after": hits[-1]["sort"]}

    def unknown_fields(self, condition: Condition, names: Sequence[str]) -> list[str]:
        """Return the fields in *condition* that no line has, whatever the filters are."""
        unfiltered = replace(self, condition=Every())
        return [one for one in sorted(fields_of(condition)) if not unfiltered.count(Not(Missing(one)), names)]

    def count(self, condition: Condition, names: Sequence[str]) -> int:
        """Count the lines that `lines` would yield."""
        del names
        index, wanted, _ = self._wanted(condition)
        with self.client.understood():
            return self.client.count(index, wanted)

    def _wanted(self, condition: Condition) -> tuple[str, Query, Fields]:
        index, both = ",".join(self.indices), Every((condition, self.condition))
        with self.client.understood():
            fields = self.client.fields(index, fields_of(both) - {*TYPES})
            return index, query(both, fields.find), fields


@contextmanager
def open_index(
    access: Access, indices: tuple[str, ...], condition: Condition, now: dt.datetime
) -> Iterator[IndexSession]:
    """
    Open an `IndexSession`, whose connection is closed at the end of the block.

    Args:
        access: Address and credentials of the search engine.
        indices: Names or patterns of indices.
        condition: The filters.
        now: The time that ``--since 2h`` counts back from.
    """
    with Client(access) as client:
        yield IndexSession(client, indices, condition, now)


def _line(source: Mapping[str, Any]) -> str:
    text = json.dumps(source, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character, which JSON can write only as an escape
        return json.dumps(source, separators=(",", ":"))
    return text
