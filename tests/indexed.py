"""The same lines in a file and in an index, and comparisons of the answers about both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from console import Run
from loglines import FORMATS, Event
from shipping.parts import Engine, is_percentile

from obs_middleware.read.answers import SHARES
from obs_middleware.read.index.formulas import rank_error


def hello(number: int, request_id: str) -> Event:
    """Return a line that a view wrote."""
    return {
        "timestamp": f"2026-11-02T10:00:{number % 60:02}.000001Z",
        "level": "info",
        "logger": "shop",
        "message": "Hello",
        "event_id": f"hello-{number}",
        "request_id": request_id,
    }


class Shop:
    """The same lines in a file and in an index."""

    def __init__(self, engine: Engine, folder: Path, lines: list[Event]) -> None:
        self.lines = lines
        self.index = f"logs-shop-{uuid4().hex}"
        self.url = f"http://127.0.0.1:{engine.port}"
        texts = [FORMATS["ecs"](line) for line in lines]
        assert {item["status"] for item in engine.fill(self.index, texts)} == {201}
        self.file = folder / "shop.log"
        self.file.write_text("".join(f"{text}\n" for text in texts))

    @property
    def there(self) -> list[str]:
        """The arguments that name the index."""
        return ["--opensearch", self.url, "--index", self.index]


def requests(shop: Shop) -> list[Event]:
    return [line for line in shop.lines if "duration_seconds" in line]


def took(lines: list[Event]) -> list[float]:
    return [line["duration_seconds"] for line in lines]


def both(run: Run, shop: Shop, name: str, *arguments: str) -> tuple[Any, Any]:
    """Return what *name* says in JSON of the file and of the index."""
    found = []
    for where in ([str(shop.file)], shop.there):
        code, out, err = run(name, *where, *arguments, "--format", "json")
        assert code in {0, 1}, err
        found.append(json.loads(out))
    return found[0], found[1]


def assert_alike(durations: Any, expected: Any, values: list[float]) -> None:
    """Assert that all is the same but for the percentiles, and that these are where their error allows."""
    assert durations["n"] == expected["n"] == len(values)
    assert durations["max"] == pytest.approx(expected["max"])
    assert durations["mean"] == pytest.approx(expected["mean"])
    for figure, share in SHARES.items():
        assert is_percentile(durations[figure], 100 * share, values, slack=rank_error(share)), figure


def made(engine: Engine, properties: dict[str, Any] | None, document: dict[str, Any]) -> list[str]:
    """Make an index without our template, and return the arguments that name it."""
    index = f"other-{uuid4().hex}"
    if properties is not None:
        engine.ask("PUT", f"/{index}", {"mappings": {"properties": properties}})
    engine.ask("POST", f"/{index}/_doc?refresh=true", document)
    return ["--opensearch", f"http://127.0.0.1:{engine.port}", "--index", index]
