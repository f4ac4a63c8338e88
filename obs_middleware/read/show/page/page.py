"""
The HTML report: one file that loads nothing from the network.

`render` depends only on `ReportData`: the same data gives the same page, byte for byte. An unknown value is None and
shown as a dash, never as 0. Times are in UTC.

The page is complete without its script, which adds sorting, filtering, the theme, and the numbers under the pointer.
The Content-Security-Policy allows only the page's own style and script, by their digests. Markup from a logged value
could not run or load anything, even if it got past the escaping.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import re
from typing import Final

from obs_middleware.display.numbers import count, duration, moment, number_of, percent, rate, span
from obs_middleware.read.answers import FEW
from obs_middleware.read.show.page import charts
from obs_middleware.read.show.page.data import ReportData
from obs_middleware.read.show.page.inline import stacked
from obs_middleware.read.show.page.markup import Markup, element, join, plain, raw, visible
from obs_middleware.read.show.page.reasons import (
    legend_of_parts,
    notes_on_reasons,
    numbers_of_parts,
    places_of,
    table_of_places,
    table_of_reasons,
)
from obs_middleware.read.show.page.tables import MAX_ROWS, table_of_failures, table_of_routes, table_of_slowest

__all__ = ["render"]

_ICON: Final = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath d='M2 14V9h3v5zm4.5 0V2h3v12zM11 14V6h3v8z' fill='%2328688a'/%3E%3C/svg%3E"
)

_UNIT: Final = re.compile(r"( ?(?:%|µs|ms|s))$")


def render(data: ReportData) -> str:
    """
    Return the page for *data*, to be written as UTF-8.

    Logged values are shown as text: markup is escaped, control characters become escapes. A table has at most 1,000
    rows, a value at most 300 characters; the page says what is cut.
    """
    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"{plain(data.title)}: report of {data.kind.plural}"),
        element("link", rel="icon", href=_ICON),
        element("style", raw(style)),
        element("script", raw(script)),
    )
    sections = _sections(data)
    body = element(
        "body",
        _top(data, [(name, title) for name, title, _ in sections]),
        element("main", _heading(data), *(section for _, _, section in sections), id="top"),
        _foot(data),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _sections(data: ReportData) -> list[tuple[str, str, Markup]]:
    """Return the sections below the heading, each with its name and title."""
    if not data.requests:
        empty = element("p", f"The log has no {data.kind.name} line.", class_="empty")
        return [("overview", "Overview", element("section", empty, id="overview"))]
    found = [
        ("overview", "Overview", _overview(data)),
        ("time", "Over time", _over_time(data)),
        ("durations", "Durations", _durations(data)),
    ]
    few = any(row.durations.n < FEW for row in data.routes)
    groups = f"{data.kind.by[-1].capitalize()}s"
    found.append(
        (
            "routes",
            groups,
            _rows(
                "routes",
                groups,
                table_of_routes(data),
                len(data.routes),
                data.routes_total,
                f"few: fewer than {FEW} durations, so the quantiles above p50 are not reliable." if few else None,
            ),
        )
    )
    found.extend(_why(data))
    if data.failures:
        table = table_of_failures(data)
        found.append(("errors", "Errors", _rows("errors", "Errors", table, len(data.failures), data.failures_total)))
    elif data.errors == 0:
        none = element("p", f"No {data.kind.name} failed.", class_="empty")
        title = element("h2", "Errors", id="errors-title")
        found.append(("errors", "Errors", element("section", title, none, id="errors")))
    if data.slowest:
        table = table_of_slowest(data)
        slowest = f"Slowest {data.kind.plural}"
        found.append(("slowest", slowest, _rows("slowest", slowest, table, len(data.slowest), None)))
    return found


def _why(data: ReportData) -> list[tuple[str, str, Markup]]:
    """Return the sections with the reasons of slow requests; none if the page has no reasons."""
    if not data.reasons:
        return []
    section = _rows(
        "why",
        f"Why {data.kind.plural} are slow",
        table_of_reasons(data.reasons, data.kind),
        len(data.reasons),
        data.reasons_total,
        notes_on_reasons(data.reasons, data.kind),
        above=legend_of_parts(data.reasons),
        below=numbers_of_parts(data.reasons),
    )
    found = [("why", "Why", section)]
    if places := places_of(data.reasons):
        table = table_of_places(places, data.kind)
        found.append(("places", "Places", _rows("places", "Places in the code", table, len(places), None)))
    return found


def _top(data: ReportData, links: list[tuple[str, str]]) -> Markup:
    """Return the bar at the top. The parts that need the script take their room, but are invisible without it."""
    return element(
        "header",
        element("a", "Skip to the report", href="#top", class_="skip"),
        element("a", element("bdi", plain(data.title)), href="#top", class_="brand"),
        element("nav", *(element("a", title, href=f"#{name}") for name, title in links), aria_label="Sections"),
        element(
            "div",
            element("output", id="matches", aria_live="polite"),
            element("label", "Filter the tables", for_="filter", class_="unseen"),
            element(
                "input",
                id="filter",
                type="search",
                placeholder="Filter the tables",
                autocomplete="off",
                spellcheck="false",
                aria_keyshortcuts="/",
            ),
            element("button", "Dark", type="button", id="theme", aria_pressed="false"),
            class_="tools",
        ),
        class_="bar-top",
    )


def _heading(data: ReportData) -> Markup:
    facts: list[tuple[str, str]] = [
        ("Source" if len(data.sources) == 1 else "Sources", join(*_listed(data.sources))),
    ]
    if data.first is not None and data.last is not None:
        length = span(data.last - data.first)
        facts.append(("Time", f"{moment(data.first)} to {moment(data.last)} ({length})"))
    if data.filters:
        facts.append(("Filters", join(*_listed(data.filters))))
    lines = data.lines
    if lines is not None:
        left_out = f", {count(lines.filtered)} filtered out" if lines.filtered else ""
        facts.append(
            ("Lines", f"{count(lines.read)} read, {number_of(lines.requests, f'{data.kind.name} line')}{left_out}")
        )
    if data.approximate is not None:
        facts.append(("Quantiles", visible(data.approximate)))
    return element(
        "div",
        element("p", f"Report of {data.kind.plural}", class_="eyebrow"),
        element("h1", visible(data.title)),
        element("dl", *(element("div", element("dt", name), element("dd", fact)) for name, fact in facts)),
        class_="heading",
    )


def _listed(texts: tuple[str, ...]) -> list[str]:
    shown = [element("code", visible(text)) for text in texts[:10]]
    left = len(texts) - len(shown)
    return [part for text in shown for part in (text, " ")] + ([f"and {count(left)} more"] if left else [])


def _overview(data: ReportData) -> Markup:
    durations = data.durations
    about = "≈ " if data.estimated else ""
    length = (data.last - data.first).total_seconds() if data.first and data.last else 0.0
    share = data.errors / data.requests if data.errors is not None and data.requests else None
    quantiles = [
        ("p50", durations.p50),
        ("p90", durations.p90),
        ("p95", durations.p95),
        ("p99", durations.p99),
        ("p99.9", durations.p999),
        ("Max", durations.max),
    ]
    n = f"n = {count(durations.n)}"
    few = f"; fewer than {FEW}: the high quantiles are not reliable" if durations.n < FEW else ""
    mean = f", mean {duration(durations.mean)}" if durations.mean is not None else ""
    weighed = (
        f"≈ The lines have a sample rate: {data.kind.plural} and errors are weighted by it, quantiles are not."
        if data.estimated
        else None
    )
    return element(
        "section",
        element("h2", "Overview", class_="unseen"),
        element(
            "div",
            _card(
                data.kind.plural.capitalize(),
                about + count(data.requests),
                rate(data.requests / length) if length else None,
            ),
            _card(
                "Errors",
                percent(share),
                None if data.errors is None else f"{about}{number_of(data.errors, data.kind.name)}",
                "bad" if data.errors else "",
            ),
            element(
                "div",
                element("p", "Duration", element("span", f"{n}{mean}{few}"), class_="name"),
                element(
                    "dl",
                    *(
                        element("div", element("dt", name), element("dd", _unit(duration(value))), class_=_strong(name))
                        for name, value in quantiles
                    ),
                ),
                class_="card wide",
            ),
            class_="cards",
        ),
        element("p", weighed, class_="hint") if weighed else None,
        id="overview",
    )


def _strong(name: str) -> str | None:
    return "strong" if name == "p95" else None


def _card(name: str, value: str, below: str | None, class_: str = "") -> Markup:
    return element(
        "div",
        element("p", name, class_="name"),
        element("p", _unit(value), class_=f"figure {class_}".strip()),
        element("p", below, class_="below") if below is not None else None,
        class_="card",
    )


def _unit(text: str) -> Markup:
    """Return a number with its unit in an element of its own."""
    number, unit, _ = _UNIT.split(text, maxsplit=1) if _UNIT.search(text) else (text, None, "")
    return join(number, element("span", unit, class_="unit") if unit else None)


def _over_time(data: ReportData) -> Markup:
    parts = [
        charts.heat_map(data.heat_map, data.kind) if data.heat_map is not None else None,
        charts.course(data.course, data.kind) if data.course else None,
    ]
    if parts == [None, None]:
        parts = [element("p", "The lines have no timestamps.", class_="empty")]
    return element("section", element("h2", "Over time"), *parts, id="time")


def _durations(data: ReportData) -> Markup:
    lists = [
        element("div", element("h3", title), stacked(counts), class_="kinds")
        for title, counts in (
            ("Status", data.statuses),
            ("Outcome", data.outcomes),
            ("Other lines", data.lines.kinds if data.lines else ()),
        )
        if any(one.count for one in counts)
    ]
    return element(
        "section",
        element("h2", "Durations", class_="unseen"),
        element(
            "div",
            charts.histogram(data.histogram, data.durations, data.kind) if data.histogram else None,
            element("div", *lists, class_="lists") if lists else None,
            class_="halves",
        ),
        id="durations",
    )


def _rows(  # noqa: PLR0913 -- a section has these parts
    name: str,
    title: str,
    table: Markup,
    given: int,
    total: int | None,
    note: str | None = None,
    *,
    above: Markup | None = None,
    below: Markup | None = None,
) -> Markup:
    shown = min(given, MAX_ROWS)
    total = max(total or 0, given)
    says = f"first {count(shown)} of {count(total)}" if shown < total else count(shown)
    return element(
        "section",
        element("h2", title, " ", element("span", says, class_="count"), id=f"{name}-title"),
        above,
        element("div", table, class_="scroll", tabindex=0, role="region", aria_labelledby=f"{name}-title"),
        element("p", "No row matches.", class_="empty none", hidden=True),
        element("p", note, class_="hint") if note else None,
        below,
        id=name,
        data_rows=shown,
    )


def _foot(data: ReportData) -> Markup:
    made = f" on {moment(data.generated)}" if data.generated is not None else ""
    return element(
        "footer", f"Made by obs-middleware{made}. All times are UTC; a dash means that the lines do not have the value."
    )


def _asset(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
