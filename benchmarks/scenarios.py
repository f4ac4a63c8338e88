"""The lines whose cost in instructions has a target, each against a line of text that says the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.instructions import Counts

__all__ = ["SCENARIOS", "Scenario", "pairs"]

REQUEST: Final = "sync chain"
TEXT: Final = "seed"
NOTHING: Final = "nothing"


@dataclass(frozen=True)
class Scenario:
    """
    A line and the line of text that it is compared with.

    Attributes:
        title: The name in the table.
        row: The configuration that writes the line.
        goal: The target: the instructions of the line may be at most so many times those of the text.
        driver: What writes the line.
        unit: What writes the line of text, in the row `TEXT`.
        idle: What is subtracted from both, in the row `NOTHING`.
    """

    title: str
    row: str
    goal: float
    driver: str = REQUEST
    unit: str = REQUEST
    idle: str = REQUEST

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The drivers and rows to count: of the line, of the text, and of the rest."""
        return (self.driver, self.row), (self.unit, TEXT), (self.idle, NOTHING)

    def ratio(self, counts: Counts) -> float:
        """Return the instructions of the line as a multiple of those of the text."""
        line, text, rest = (counts[driver][row] for driver, row in self.pairs)
        return (line - rest) / (text - rest)


SCENARIOS: Final = (
    Scenario("request line, flat", "ours", 1.15),
    Scenario("request line, ECS", "ours-ecs", 1.35),
    Scenario("request line, OpenTelemetry", "ours-otel", 1.35),
    Scenario("request line, Datadog", "ours-datadog", 1.35),
    Scenario("request line, Google Cloud", "ours-gcp", 1.35),
    Scenario("request line, with a processor of your own", "ours-processor", 1.45),
    Scenario("request line, flat, without orjson", "ours-std", 1.6),
    Scenario("line inside a request", "ours", 0.88, "further line", "further line", "further line"),
    Scenario(
        "the same with `extra=` of three fields", "ours", 1.1, "line with extra", "line with extra", "further line"
    ),
    Scenario("the same by structlog's logger", "ours", 1.2, "structlog line", "line with extra", "further line"),
)
"""All of them. A text with `extra=` does not show the fields, but pays for the record that has them."""


def pairs() -> Iterator[tuple[str, str]]:
    """Yield the drivers and rows that all scenarios need; some more than once."""
    for scenario in SCENARIOS:
        yield from scenario.pairs
