"""
The parts that all large charts of the page share: the figure around them, the plot, labels, grid, and the table.

Positions are in percent, so that a chart can be as wide as the page while letters keep their size. The style sheet
gives the colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from obs_middleware.display.numbers import clock
from obs_middleware.display.numbers import tick as tick_label
from obs_middleware.read.show.page.axes import DurationAxis, TimeAxis
from obs_middleware.read.show.page.markup import Markup, element, join

__all__ = ["bar_height", "duration_labels", "figure", "grid", "length", "numbers_table", "plot", "scale", "time_labels"]


def figure(  # noqa: PLR0913 -- a figure has these parts
    kind: str, title: str, says: str, plots: Markup, table: Markup, *, hint: str, legend: Markup | None = None
) -> Markup:
    """
    Return a figure: heading, chart, legend and a table of the numbers.

    Args:
        kind: How the script reads the table: ``rows``, one row for each column of the chart, or ``matrix``, one cell
            for each cell.
        title: Heading.
        says: What the chart shows, for readers who do not see it.
        plots: The chart.
        table: All numbers of the chart.
        hint: How to read the chart.
        legend: What the colours mean.
    """
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


def numbers_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """Return the table of the numbers of a chart; the first cell of each row is its heading."""
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


def plot(*children: Markup, class_: str) -> Markup:
    """Return the drawing area of a chart."""
    return element("svg", *children, class_=f"plot {class_}", aria_hidden="true")


def grid(places: Iterable[float]) -> Iterable[Markup]:
    """Yield horizontal lines at *places*, from 0 at the bottom to 1 at the top."""
    for place in places:
        y = length(100 * (1 - place))
        yield element("line", class_="grid", x1=0, x2="100%", y1=y, y2=y)


def scale(labels: Iterable[tuple[float, str]]) -> Markup:
    """Return the labels beside a chart, each with its place from 0 at the top to 1 at the bottom."""
    return element(
        "svg",
        *(element("text", text, x="100%", dx=-8, y=length(100 * place), dy=4) for place, text in labels),
        class_="scale",
        aria_hidden="true",
    )


def duration_labels(axis: DurationAxis) -> Markup:
    """Return the labels below an axis of durations."""
    return _labels((axis.at(tick), tick_label(tick)) for tick in axis.ticks())


def time_labels(axis: TimeAxis) -> Markup:
    """Return the labels below an axis of time."""
    ticks, step = axis.ticks()
    return _labels((axis.at(tick), clock(tick, step)) for tick in ticks)


def _labels(places: Iterable[tuple[float, str]]) -> Markup:
    return element(
        "svg",
        *(
            join(
                element("line", x1=length(100 * place), x2=length(100 * place), y1=0, y2=4),
                element("text", text, x=length(100 * place), y=17, class_=f"every{index % 2}"),
            )
            for index, (place, text) in enumerate(places)
        ),
        class_="labels",
        aria_hidden="true",
    )


def bar_height(value: float, top: float) -> float:
    """Return the height of a bar in percent; a value above 0 is always visible."""
    return min(max(100 * value / top, 0.7), 100)


def length(value: float) -> str:
    """Return an SVG length in percent of the chart."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "%"
