"""
Small drawings inside tables and lists: the spread of one row, a bar for a share, a bar of several parts.

The text beside each drawing has its numbers, so the drawings are hidden from screen readers.
"""

from __future__ import annotations

from collections.abc import Iterable

from obs_middleware.display.numbers import count, percent
from obs_middleware.read.answers import Count, Quantiles
from obs_middleware.read.show.page.axes import DurationAxis
from obs_middleware.read.show.page.figure import length
from obs_middleware.read.show.page.markup import Markup, element, join, visible

__all__ = ["bar", "spread", "stacked"]


def spread(durations: Quantiles, axis: DurationAxis) -> Markup | None:
    """
    Return a strip for one row of a table: p50, a bar to p99 with p95 marked, and a line to the maximum.

    Returns:
        None if one of them is not known.
    """
    known = (durations.p50, durations.p95, durations.p99, durations.max)
    if None in known:
        return None
    p50, p95, p99, most = (100 * axis.at(value or 0) for value in known)
    return element(
        "svg",
        *(
            element("line", class_="tick", x1=length(x), x2=length(x), y1=0, y2="100%")
            for x in (100 * axis.at(tick) for tick in axis.ticks())
        ),
        element("line", class_="whisker", x1=length(p99), x2=length(most), y1="50%", y2="50%"),
        element("line", class_="body", x1=length(p50), x2=length(p99), y1="50%", y2="50%"),
        element("circle", class_="median", cx=length(p50), cy="50%", r=3.5),
        element("line", class_="p95", x1=length(p95), x2=length(p95), y1="20%", y2="80%"),
        class_="spread",
        aria_hidden="true",
    )


def bar(share: float, part: float | None = None) -> Markup:
    """Return a bar of the length *share*, from 0 to 1, filled up to *part*."""
    return element(
        "svg",
        element("rect", class_="rest", width=length(100 * share), height="100%"),
        element("rect", class_="part", width=length(100 * min(part, share)), height="100%") if part else None,
        class_="share",
        aria_hidden="true",
    )


def stacked(counts: Iterable[Count]) -> Markup:
    """Return one bar with a part for each of *counts*, and its legend with the numbers."""
    parts = [one for one in counts if one.count]
    total = sum(one.count for one in parts)
    left = 0.0
    drawn, legend = [], []
    for one in parts:
        share = one.count / total
        class_ = f"kind-{one.name}" if one.name.isalnum() and one.name.isascii() else "kind"
        drawn.append(element("rect", class_=class_, x=length(100 * left), width=length(100 * share), height="100%"))
        left += share
        legend.append(
            element(
                "li",
                element("svg", element("rect", class_=class_, width="100%", height="100%"), class_="swatch"),
                element("b", visible(one.name)),
                element("span", count(one.count), class_="number"),
                element("span", percent(share), class_="number muted"),
            )
        )
    return join(
        element("svg", *drawn, class_="stacked", aria_hidden="true"), element("ul", *legend, class_="legend counts")
    )
