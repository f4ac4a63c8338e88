"""
The three large charts of the page, as SVG: histogram, heat map, and the course over time.

Each chart has one sentence for readers who do not see it, and a table of all its numbers. The script shows the numbers
under the pointer from this table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from obs_middleware.display.numbers import count, duration, interval, number_of, percent, rate
from obs_middleware.display.numbers import tick as tick_label
from obs_middleware.read.answers import Bin, HeatMap, Quantiles, Slice
from obs_middleware.read.kinds import REQUEST, Kind
from obs_middleware.read.show.page.axes import DurationAxis, TimeAxis, round_up
from obs_middleware.read.show.page.figure import (
    bar_height,
    duration_labels,
    figure,
    grid,
    length,
    numbers_table,
    plot,
    scale,
    time_labels,
)
from obs_middleware.read.show.page.markup import Markup, element

__all__ = ["course", "heat_map", "histogram"]

SHADES = 7
"""Number of shades of the heat map in the style sheet."""


def histogram(bins: Sequence[Bin], durations: Quantiles, kind: Kind = REQUEST) -> Markup:
    """Return the histogram of the durations, with the quantiles marked."""
    axis = DurationAxis([bins[0].low, *(one.high for one in bins)])
    most = max(*(one.count for one in bins), 1)
    total = sum(one.count for one in bins)
    width = 100 / len(bins)
    bars = [
        element(
            "rect",
            class_="bar",
            x=length(index * width),
            width=length(width),
            y=length(100 - bar_height(one.count, most)),
            height=length(bar_height(one.count, most)),
        )
        for index, one in enumerate(bins)
        if one.count
    ]
    largest = max(bins, key=lambda one: one.count)
    table = numbers_table(
        ["Duration", kind.plural.capitalize(), "Share"],
        [
            [_between(one.low, one.high), count(one.count), percent(one.count / total if total else None)]
            for one in bins
        ],
    )
    return figure(
        "rows",
        "Durations",
        f"Histogram of {count(total)} durations. Most frequent: {_between(largest.low, largest.high)}, "
        f"{number_of(largest.count, kind.name)}.",
        element(
            "div",
            plot(*bars, *_marks(axis, durations), class_="tall"),
            duration_labels(axis),
            class_="plots",
        ),
        table,
        hint=f"Number of {kind.plural} by duration, on a logarithmic scale.",
    )


def heat_map(heat: HeatMap, kind: Kind = REQUEST) -> Markup:
    """Return the heat map: how many requests took how long, over time."""
    axis = DurationAxis(heat.durations)
    columns, rows = len(heat.times) - 1, len(heat.durations) - 1
    most = max((number for column in heat.counts for number in column), default=0)
    cells = [
        element(
            "rect",
            class_=f"cell shade{_shade(number, most)}",
            x=length(100 * column / columns),
            y=length(100 * (rows - 1 - row) / rows),
            width=length(100 / columns),
            height=length(100 / rows),
        )
        for column, numbers in enumerate(heat.counts)
        for row, number in enumerate(numbers)
        if number
    ]
    busiest = max(range(columns), key=lambda column: sum(heat.counts[column]))
    sums = [sum(column[row] for column in heat.counts) for row in range(rows)]
    usual = max(range(rows), key=sums.__getitem__)
    range_usual = _between(heat.durations[usual], heat.durations[usual + 1])
    table = numbers_table(
        ["Time", *(_between(low, high) for low, high in pairwise(heat.durations))],
        [
            [interval(start, end), *(str(number) for number in numbers)]
            for (start, end), numbers in zip(pairwise(heat.times), heat.counts, strict=True)
        ],
    )
    return figure(
        "matrix",
        "Latency over time",
        f"Heat map of {columns} intervals of time and {rows} ranges of durations. Most frequent: {range_usual}, "
        f"{percent(sums[usual] / (sum(sums) or 1))} of the {kind.plural}. "
        f"Busiest: {interval(heat.times[busiest], heat.times[busiest + 1])}, "
        f"{number_of(sum(heat.counts[busiest]), kind.name)}.",
        element(
            "div",
            scale([(1 - axis.at(tick), tick_label(tick)) for tick in axis.ticks()]),
            plot(*grid(axis.at(tick) for tick in axis.ticks()), *cells, class_="map"),
            time_labels(TimeAxis(heat.times[0], heat.times[-1])),
            class_="plots scaled",
        ),
        table,
        hint=f"Each cell is an interval of time and a range of durations; a stronger colour means more {kind.plural}.",
        legend=_legend(most, kind),
    )


def course(slices: Sequence[Slice], kind: Kind = REQUEST) -> Markup:
    """Return rate, share of errors and p95 over time, one below the other."""
    axis = TimeAxis(slices[0].start, slices[-1].end)
    rates = [_per_second(one) for one in slices]
    shares = [_error_share(one) for one in slices]
    p95s = [one.durations.p95 for one in slices]
    strips: list[tuple[str, str, list[float | None], Callable[[float | None], str]]] = [
        (kind.plural.capitalize(), "rate", [*rates], rate),
        ("Errors", "errors", shares, percent),
        ("p95", "p95", p95s, duration),
    ]
    drawn: list[Markup] = []
    summary: list[str] = []
    for name, class_, values, write in strips:
        known = [value for value in values if value is not None]
        if not known:
            continue
        top = round_up(max(known))
        if class_ == "errors":
            # One error in a thousand requests must not fill the strip, and a share is never above 1.
            top = min(max(top, 0.01), 1.0) if any(known) else 0.01
        summary.append(f"{name}: at most {write(max(known))}.")
        drawn += [
            element("p", name, class_="strip"),
            scale([(0.0, tick_label(top) if class_ == "p95" else write(top)), (1.0, "0")]),
            plot(*grid([0.0, 0.5, 1.0]), *_columns(values, top), class_=f"low {class_}"),
        ]
    table = numbers_table(
        ["Time", kind.plural.capitalize(), "Rate", "Errors", "Error rate", "p50", "p95", "p99", "n"],
        [
            [
                interval(one.start, one.end),
                count(one.requests),
                rate(per_second),
                count(one.errors),
                percent(share),
                duration(one.durations.p50),
                duration(one.durations.p95),
                duration(one.durations.p99),
                count(one.durations.n),
            ]
            for one, per_second, share in zip(slices, rates, shares, strict=True)
        ],
    )
    return figure(
        "rows",
        "Course",
        f"Course over {len(slices)} intervals of time. " + " ".join(summary),
        element("div", *drawn, time_labels(axis), class_="plots scaled"),
        table,
        hint=f"Rate, share of errors, and p95 of the durations, over the same time. Shaded: no {kind.name}.",
    )


def _marks(axis: DurationAxis, durations: Quantiles) -> Iterable[Markup]:
    """Yield the marks of the quantiles. Each label is lower than the one before, so that close ones do not overlap."""
    named = [("p50", durations.p50), ("p95", durations.p95), ("p99", durations.p99)]
    for level, (name, value) in enumerate((name, value) for name, value in named if value is not None):
        place = axis.at(value)
        x = length(100 * place)
        yield element("line", class_="mark", x1=x, x2=x, y1=10 + level * 16, y2="100%")
        yield element(
            "text",
            f"{name} ",
            element("tspan", duration(value)),
            class_="label",
            x=x,
            y=18 + level * 16,
            dx=5 if place < 0.8 else -5,
            text_anchor=None if place < 0.8 else "end",
        )


def _columns(values: Sequence[float | None], top: float) -> Iterable[Markup]:
    width = 100 / len(values)
    for index, value in enumerate(values):
        if value:
            height = bar_height(value, top)
            yield element(
                "rect",
                class_="bar",
                x=length(index * width),
                width=length(width),
                y=length(100 - height),
                height=length(height),
            )
        elif value is None:
            yield element("rect", class_="gap", x=length(index * width), width=length(width), y="0%", height="100%")


def _legend(most: int, kind: Kind) -> Markup | None:
    """Return the legend of the shades, None if all cells have the same."""
    if most < 2:
        return None
    return element(
        "p",
        "1 ",
        element(
            "svg",
            *(
                element(
                    "rect",
                    class_=f"shade{shade}",
                    x=length(100 * shade / SHADES),
                    width=length(100 / SHADES),
                    height="100%",
                )
                for shade in range(SHADES)
            ),
            class_="shades",
            aria_hidden="true",
        ),
        f" {number_of(most, kind.name)} in a cell",
        class_="hint shading",
    )


def _shade(number: int, most: int) -> int:
    """Return the shade of a cell. The scale is logarithmic, so that one slow request is visible beside thousands."""
    if most <= 1:
        return SHADES - 1
    return min(int(math.log(number) / math.log(most) * SHADES), SHADES - 1)


def _per_second(one: Slice) -> float | None:
    seconds = (one.end - one.start).total_seconds()
    return one.requests / seconds if seconds else None


def _error_share(one: Slice) -> float | None:
    return one.errors / one.requests if one.requests and one.errors is not None else None


def _between(low: float, high: float) -> str:
    return f"{duration(low)} to {duration(high)}"
