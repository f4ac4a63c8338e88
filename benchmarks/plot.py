"""The chart of the documentation: the cost of each row as a multiple of the seed's text line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.peers import PEERS
from benchmarks.rows import ROWS
from benchmarks.timing import costs

__all__ = ["draw"]

OURS = "#1f6f8b"
OTHERS = "#b0b7bd"


def draw(data: dict[str, Any], file: Path) -> None:
    """Write the chart to *file*, in the format of its suffix."""
    # Text stays text and no date is written, so the same data give the same file.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "overhead", "font.size": 9})
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    figure.suptitle("What each adds to a request; the seed's text line is 1", fontsize=10)
    rows = {name: row.title for name, row in (ROWS | PEERS).items() if name != "nothing"}
    chains = {chain: costs(data["times"][chain]) for chain in ("async chain", "sync chain")}
    # Both charts have the same order, so that they share one column of names.
    names = sorted(rows, key=lambda name: chains["async chain"][name].ratio, reverse=True)
    for axes, (chain, cost) in zip(figure.subplots(1, 2, sharey=True), chains.items(), strict=True):
        bars = axes.barh(
            [rows[name] for name in names],
            [cost[name].ratio for name in names],
            color=[OURS if name.startswith("ours") else OTHERS for name in names],
        )
        axes.bar_label(bars, [f"{cost[name].ratio:.2f}" for name in names], padding=3)
        axes.set_xscale("log")
        axes.set_xlim(0.1, 200)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_title(chain, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
