"""The HTML page of a report, parsed strictly, with its tables as rows of text."""

from __future__ import annotations

from html.parser import HTMLParser

from obs_middleware.read.answers import Lines, Quantiles
from obs_middleware.read.show.page.data import ReportData
from obs_middleware.read.show.page.page import render

VOID = {"input", "link", "meta"}
BARE = ReportData(
    title="access.log",
    sources=("standard input",),
    lines=Lines(read=3, requests=3),
    requests=3,
    errors=None,
    durations=Quantiles(3, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.15),
)
"""The report of lines that have a duration and nothing else."""


class Page(HTMLParser):
    """
    A strictly parsed page. Parsing fails if an element is not closed in order.

    Attributes:
        elements: Names and attributes of all elements.
        tables: Section id → texts of the cells, row by row.
        text: All text except style and script.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self._open: list[str] = []
        self._section = ""
        self._cell: list[str] | None = None
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        assert len(attributes) == len(attrs)
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "section":
            self._section = attributes["id"] or ""
        if tag == "tr" and "details" not in self._open:
            self.tables.setdefault(self._section, []).append([])
        if tag in {"td", "th"} and "details" not in self._open:
            self.tables[self._section][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._open):
            self.text += data
            if {"td", "th"} & set(self._open) and "details" not in self._open:
                self.tables[self._section][-1][-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def parse(data: ReportData) -> Page:
    return Page(render(data))


def cells(data: ReportData, section: str) -> list[dict[str, str]]:
    """Return the rows of a table as dicts: heading → text."""
    head, *rows = parse(data).tables[section]
    return [dict(zip(head, row, strict=True)) for row in rows]
