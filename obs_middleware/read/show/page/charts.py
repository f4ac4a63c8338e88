"""
The charts of the report, as SVG that the style sheet colours and that is as wide as the page.

Read. Positions are in percent, so that letters keep their size. Each large chart is a figure with a sentence for those
who do not see it and a table of its numbers; the script that shows a number under the pointer reads that table, so
there is one source for all. Its ``data-chart`` says how: ``rows``, a column of the chart is a row of the table;
``matrix``, so are its cells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from obs_middleware.read.figures import Bin, Count, HeatMap, Quantiles, Slice
from obs_middleware.read.show.numbers import clock, count, duration, interval, percent, rate
from obs_middleware.read.show.numbers import tick as tick_label
from obs_middleware.read.show.page.axes import DurationAxis, TimeAxis, round_up
from obs_middleware.read.show.page.markup import Markup, element, join, visible

__all__ = ["bar", "course", "heat_map", "histogram", "spread", "stacked"]

SHADES = 7
"""How many shades of the heat map the style sheet has."""


def histogram(bins: Sequence[Bin], durations: Quantiles) -> Markup:
    """Return the figure of how many requests took how long, with the quantiles marked."""
    axis = DurationAxis([bins[0].low, *(one.high for one in bins)])
    most = max(*(one.count for one in bins), 1)
    total = sum(one.count for one in bins)
    width = 100 / len(bins)
    bars = [
        element(
            "rect",
            class_="bar",
            x=_percent(index * width),
            width=_percent(width),
            y=_percent(100 - _height(one.count, most)),
            height=_percent(_height(one.count, most)),
        )
        for index, one in enumerate(bins)
        if one.count
    ]
    largest = max(bins, key=lambda one: one.count)
    table = _table(
        ["Duration", "Requests", "Share"],
        [
            [_between(one.low, one.high), count(one.count), percent(one.count / total if total else None)]
            for one in bins
        ],
    )
    return _figure(
        "rows",
        "Durations",
        f"Histogram of {count(total)} durations. Most frequent: {_between(largest.low, largest.high)}, "
        f"{count(largest.count)} requests.",
        element(
            "div",
            _plot(*bars, *_marks(axis, durations), class_="tall"),
            _duration_labels(axis),
            class_="plots",
        ),
        table,
        hint="How many requests took how long; the scale is logarithmic.",
    )


def heat_map(heat: HeatMap) -> Markup:
    """Return the figure of how many requests took how long when."""
    axis = DurationAxis(heat.durations)
    columns, rows = len(heat.times) - 1, len(heat.durations) - 1
    most = max((number for column in heat.counts for number in column), default=0)
    cells = [
        element(
            "rect",
            class_=f"cell shade{_shade(number, most)}",
            x=_percent(100 * column / columns),
            y=_percent(100 * (rows - 1 - row) / rows),
            width=_percent(100 / columns),
            height=_percent(100 / rows),
        )
        for column, numbers in enumerate(heat.counts)
        for row, number in enumerate(numbers)
        if number
    ]
    busiest = max(range(columns), key=lambda column: sum(heat.counts[column]))
    sums = [sum(column[row] for column in heat.counts) for row in range(rows)]
    usual = max(range(rows), key=sums.__getitem__)
    range_usual = _between(heat.durations[usual], heat.durations[usual + 1])
    table = _table(
        ["Time", *(_between(low, high) for low, high in pairwise(heat.durations))],
        [
            [interval(start, end), *(str(number) for number in numbers)]
            for (start, end), numbers in zip(pairwise(heat.times), heat.counts, strict=True)
        ],
    )
    return _figure(
        "matrix",
        "Latency over time",
        f"Heat map of {columns} stretches of time by {rows} ranges of duration. The usual duration is {range_usual}, "
        f"{percent(sums[usual] / (sum(sums) or 1))} of the requests. "
        f"The most, {count(sum(heat.counts[busiest]))}, came in "
        f"{interval(heat.times[busiest], heat.times[busiest + 1])}.",
        element(
            "div",
            _scale([(1 - axis.at(tick), tick_label(tick)) for tick in axis.ticks()]),
            _plot(*_grid(axis.at(tick) for tick in axis.ticks()), *cells, class_="map"),
            _time_labels(TimeAxis(heat.times[0], heat.times[-1])),
            class_="plots scaled",
        ),
        table,
        hint="Each cell is a stretch of time and a range of duration; the stronger its colour, the more requests.",
        legend=_legend(most),
    )


def course(slices: Sequence[Slice]) -> Markup:
    """Return the figure of rate, share of errors and p95 over time."""
    axis = TimeAxis(slices[0].start, slices[-1].end)
    rates = [_per_second(one) for one in slices]
    shares = [_error_share(one) for one in slices]
    p95s = [one.durations.p95 for one in slices]
    strips: list[tuple[str, str, list[float | None], Callable[[float | None], str]]] = [
        ("Requests", "rate", [*rates], rate),
        ("Errors", "errors", shares, percent),
        ("p95", "p95", p95s, duration),
    ]
    drawn: list[Markup] = []
    said: list[str] = []
    for name, class_, values, write in strips:
        known = [value for value in values if value is not None]
        if not known:
            continue
        top = round_up(max(known))
        if class_ == "errors":
            # A share: not above 1, and one error in a thousand requests does not fill the strip.
            top = min(max(top, 0.01), 1.0) if any(known) else 0.01
        said.append(f"{name}: at most {write(max(known))}.")
        drawn += [
            element("p", name, class_="strip"),
            _scale([(0.0, tick_label(top) if class_ == "p95" else write(top)), (1.0, "0")]),
            _plot(*_grid([0.0, 0.5, 1.0]), *_columns(values, top), class_=f"low {class_}"),
        ]
    table = _table(
        ["Time", "Requests", "Rate", "Errors", "Error rate", "p50", "p95", "p99", "n"],
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
    return _figure(
        "rows",
        "Course",
        f"Course over {len(slices)} stretches of time. " + " ".join(said),
        element("div", *drawn, _time_labels(axis), class_="plots scaled"),
        table,
        hint="Rate, share of errors and p95 of the duration, above the same times. Shaded: nothing to measure.",
    )


def spread(durations: Quantiles, axis: DurationAxis) -> Markup | None:
    """Return a strip for one row of a table: from p50 to p99, p95 marked, and on to the maximum; None without them."""
    known = (durations.p50, durations.p95, durations.p99, durations.max)
    if None in known:
        return None
    p50, p95, p99, most = (100 * axis.at(value or 0) for value in known)
    return element(
        "svg",
        *(
            element("line", class_="tick", x1=_percent(x), x2=_percent(x), y1=0, y2="100%")
            for x in (100 * axis.at(tick) for tick in axis.ticks())
        ),
        element("line", class_="whisker", x1=_percent(p99), x2=_percent(most), y1="50%", y2="50%"),
        element("line", class_="body", x1=_percent(p50), x2=_percent(p99), y1="50%", y2="50%"),
        element("circle", class_="median", cx=_percent(p50), cy="50%", r=3.5),
        element("line", class_="p95", x1=_percent(p95), x2=_percent(p95), y1="20%", y2="80%"),
        class_="spread",
        aria_hidden="true",
    )


def bar(share: float, part: float | None = None) -> Markup:
    """Return a bar of the length *share*, from 0 to 1, of which *part* is filled in."""
    return element(
        "svg",
        element("rect", class_="rest", width=_percent(100 * share), height="100%"),
        element("rect", class_="part", width=_percent(100 * min(part, share)), height="100%") if part else None,
        class_="share",
        aria_hidden="true",
    )


def stacked(counts: Iterable[Count]) -> Markup:
    """Return one bar of several parts, with a legend."""
    parts = [one for one in counts if one.count]
    total = sum(one.count for one in parts)
    left = 0.0
    drawn, legend = [], []
    for one in parts:
        share = one.count / total
        class_ = f"kind-{one.name}" if one.name.isalnum() and one.name.isascii() else "kind"
        drawn.append(element("rect", class_=class_, x=_percent(100 * left), width=_percent(100 * share), height="100%"))
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


def _figure(  # noqa: PLR0913 -- the parts of a figure
    kind: str, title: str, says: str, plots: Markup, table: Markup, *, hint: str, legend: Markup | None = None
) -> Markup:
    return element(
        "figure",
        element(
            "figcaption",
            element("h3", title),
            element("output", class_="readout", aria_live="polite"),
            element("p", hint, class_="hint"),
        ),
        element(
            "div",
            plots,
            class_="chart",
            role="group",
            aria_label=f"{title}. {says} The arrow keys read it out.",
            tabindex=0,
        ),
        legend,
        element(
            "details",
            element("summary", "The numbers as a table"),
            element(
                "div", table, class_="scroll", tabindex=0, role="region", aria_label=f"{title}: the numbers as a table"
            ),
        ),
        data_chart=kind,
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    return element(
        "table",
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        element(
            "tbody",
            *(
                element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in rest))
                for first, *rest in rows
            ),
        ),
        class_="numbers",
    )


def _plot(*children: Markup, class_: str) -> Markup:
    return element("svg", *children, class_=f"plot {class_}", aria_hidden="true")


def _grid(places: Iterable[float]) -> Iterable[Markup]:
    for place in places:
        y = _percent(100 * (1 - place))
        yield element("line", class_="grid", x1=0, x2="100%", y1=y, y2=y)


def _marks(axis: DurationAxis, durations: Quantiles) -> Iterable[Markup]:
    """Mark the quantiles, one below the other so that close ones can be read."""
    named = [("p50", durations.p50), ("p95", durations.p95), ("p99", durations.p99)]
    for level, (name, value) in enumerate((name, value) for name, value in named if value is not None):
        place = axis.at(value)
        x = _percent(100 * place)
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
            height = _height(value, top)
            yield element(
                "rect",
                class_="bar",
                x=_percent(index * width),
                width=_percent(width),
                y=_percent(100 - height),
                height=_percent(height),
            )
        elif value is None:
            yield element("rect", class_="gap", x=_percent(index * width), width=_percent(width), y="0%", height="100%")


def _scale(labels: Iterable[tuple[float, str]]) -> Markup:
    return element(
        "svg",
        *(element("text", text, x="100%", dx=-8, y=_percent(100 * place), dy=4) for place, text in labels),
        class_="scale",
        aria_hidden="true",
    )


def _labels(places: Iterable[tuple[float, str]]) -> Markup:
    return element(
        "svg",
        *(
            join(
                element("line", x1=_percent(100 * place), x2=_percent(100 * place), y1=0, y2=4),
                element("text", text, x=_percent(100 * place), y=17, class_=f"every{index % 2}"),
            )
            for index, (place, text) in enumerate(places)
        ),
        class_="labels",
        aria_hidden="true",
    )


def _duration_labels(axis: DurationAxis) -> Markup:
    return _labels((axis.at(tick), tick_label(tick)) for tick in axis.ticks())


def _time_labels(axis: TimeAxis) -> Markup:
    ticks, step = axis.ticks()
    return _labels((axis.at(tick), clock(tick, step)) for tick in ticks)


def _legend(most: int) -> Markup | None:
    """Name the ends of the shades, if there are two; between them the scale is logarithmic."""
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
                    x=_percent(100 * shade / SHADES),
                    width=_percent(100 / SHADES),
                    height="100%",
                )
                for shade in range(SHADES)
            ),
            class_="shades",
            aria_hidden="true",
        ),
        f" {count(most)} requests in a cell",
        class_="hint shading",
    )


def _shade(number: int, most: int) -> int:
    """Return the shade of a cell, by the logarithm: a single slow request is seen beside a thousand quick ones."""
    if most <= 1:
        return SHADES - 1
    return min(int(math.log(number) / math.log(most) * SHADES), SHADES - 1)


def _per_second(one: Slice) -> float | None:
    length = (one.end - one.start).total_seconds()
    return one.requests / length if length else None


def _error_share(one: Slice) -> float | None:
    return one.errors / one.requests if one.requests and one.errors is not None else None


def _between(low: float, high: float) -> str:
    return f"{duration(low)} to {duration(high)}"


def _height(value: float, top: float) -> float:
    # What is not nothing is seen.
    return min(max(100 * value / top, 0.7), 100)


def _percent(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") + "%"
