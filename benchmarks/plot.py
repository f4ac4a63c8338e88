"""The chart of the documentation: what each row adds to an ordinary request, in percent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.shares import Share, counts_of, shares
from obs_middleware.read.show.page.markup import Markup, element, raw

__all__ = ["chart"]

SHOWN: Final = {
    "nothing": "no log",
    "seed": "a line of text",
    "ours": "obs-middleware",
    "ours-ecs": "obs-middleware, ECS",
    "python-json-logger": "python-json-logger, message alone",
    "structlog": "structlog, message alone",
    "ecs-logging": "ecs-logging, message alone",
    "django-guid": "django-guid",
    "opentelemetry": "OpenTelemetry, without export",
    "django-structlog": "django-structlog",
}
"""The rows of the chart and their names in it: ours as most sites use it, and every other package once."""

TITLE: Final = "What logging adds to an ordinary Django request, in percent of its instructions"
WIDTH: Final = 760
NAMES: Final = 270
"""Width of the column of names, in pixels; the bars begin there."""

ROOM: Final = 60
"""Width that is left for the number behind the longest bar."""

STEP: Final = 26
TOP: Final = 52
STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px }
.page { fill: #fff }
.bar { fill: #8c959f }
.ours { fill: #1f6f8b }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.page { fill: #0d1117 }
.bar { fill: #6e7681 }
.ours { fill: #58b4d1 }
}
"""
"""The chart has a background, because a page can be dark while the system that shows it is not."""


def chart(data: Mapping[str, Any]) -> str:
    """Return the chart as an SVG file."""
    shown = [share for share in shares(counts_of(data)) if share.row in SHOWN]
    height = TOP + STEP * len(shown) + 10
    scale = (WIDTH - NAMES - ROOM) / max(share.percent for share in shown)
    return (
        element(
            "svg",
            element("title", TITLE),
            element("style", raw(STYLE)),
            element("rect", class_="page", width=WIDTH, height=height, rx=8),
            element("text", TITLE, class_="title", x=16, y=28),
            *(_bar(share, TOP + STEP * number, scale) for number, share in enumerate(shown)),
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {WIDTH} {height}",
            width=WIDTH,
            height=height,
            role="img",
        ).replace("><", ">\n<")
        + "\n"
    )


def _bar(share: Share, top: int, scale: float) -> Markup:
    """Return the name, the bar and the number of *share*."""
    length = share.percent * scale
    return element(
        "g",
        element("text", SHOWN[share.row], x=NAMES - 10, y=top + 15, text_anchor="end"),
        element(
            "rect",
            class_="bar ours" if share.row.startswith("ours") else "bar",
            x=NAMES,
            y=top + 2,
            width=length,
            height=STEP - 8,
        ),
        element("text", f"{share.percent:.1f} %", x=NAMES + length + 6, y=top + 15),
    )
