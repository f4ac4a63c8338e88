"""One run of a command that asks a search engine."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from obs_middleware.read.bands import MOST_BLOCKS
from obs_middleware.read.index.access import Access
from obs_middleware.read.index.client import Client
from obs_middleware.read.index.dsl import NUMBERS, Query, query
from obs_middleware.read.index.fields import Fields, field_in
from obs_middleware.read.index.requests import IndexRequests
from obs_middleware.read.index.side import PAGE
from obs_middleware.read.kinds import KINDS, REQUEST, Kind
from obs_middleware.read.parsed_line import ParsedLine
from obs_middleware.read.remarks import Remarks
from obs_middleware.read.schemas import TYPES
from obs_middleware.read.where.conditions import Condition, Every, Missing, Not, fields_of
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
        kind: The kind of the units of work that `requests` returns.
        remarks: Nothing: what a search engine cannot answer is an error.
    """

    client: Client
    indices: tuple[str, ...]
    condition: Condition
    now: dt.datetime
    kind: Kind = REQUEST
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
            return IndexRequests(self.client, index, found, condition, self.kind, chosen or {})

    def blocks(self, names: Sequence[str]) -> list[str]:
        """Return the fields that may be timed blocks: numbers of the application whose names end with ``_seconds``."""
        del names
        with self.client.understood():
            found = self.client.types(",".join(self.indices), "app.*_seconds,labels.*_seconds")
        numbers = {name.removeprefix("app.") for name, types in found.items() if types <= NUMBERS}
        texts = {name.removeprefix("labels.") for name in found}
        return sorted(numbers - texts)[:MOST_BLOCKS]

    def lines(self, condition: Condition, names: Sequence[str]) -> Iterator[str]:
        """Yield the documents that match *condition* and the filters, in the order of time."""
        del names
        index, wanted, fields = self._wanted(condition)
        yield from map(_line, self._documents(index, wanted, fields))

    def parsed(
        self, condition: Condition, names: Sequence[str], fields: Sequence[str], containing: Sequence[str] = ()
    ) -> list[ParsedLine]:
        """Return the documents that match *condition* and the filters, with *fields*, in the order of time."""
        del names, containing
        index, wanted, known = self._wanted(condition)
        return [_parsed(document, fields) for document in self._documents(index, wanted, known)]

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
    access: Access, indices: tuple[str, ...], condition: Condition, now: dt.datetime, kind: Kind = REQUEST
) -> Iterator[IndexSession]:
    """
    Open an `IndexSession`, whose connection is closed at the end of the block.

    Args:
        access: Address and credentials of the search engine.
        indices: Names or patterns of indices.
        condition: The filters.
        now: The time that ``--since 2h`` counts back from.
        kind: The kind of the units of work that are asked for.
    """
    with Client(access) as client:
        yield IndexSession(client, indices, condition, now, kind)


def _parsed(document: Mapping[str, Any], fields: Iterable[str]) -> ParsedLine:
    kind = None
    if field_in(document, "outcome") is not None and field_in(document, "duration_seconds") is not None:
        kind = KINDS.get(str(field_in(document, "kind")), REQUEST)
    return ParsedLine(_line(document), {name: field_in(document, name) for name in fields}, kind)


def _line(source: Mapping[str, Any]) -> str:
    text = json.dumps(source, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character, which JSON can write only as an escape
        return json.dumps(source, separators=(",", ":"))
    return text
