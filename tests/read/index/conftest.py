"""Fixtures: a search engine, and a shop whose lines are both in a file and in an index."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from indexed import Shop, hello
from loglines import events
from shipping.parts import Engine, engine_name, running_engine


@pytest.fixture(name="engine", scope="session")
def _engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A search engine: osmem-server, or the one that ``OBS_ENGINE`` names."""
    with running_engine(engine_name(), tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture(name="shop", scope="session")
def _shop(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Requests, more than a page of them, with fields of the application of every kind; and other log lines."""
    dice = random.Random(3)
    lines = []
    for number, event in enumerate(events(1_200, seed=3)):
        slow = {"slow": True} if event["duration_seconds"] > 0.3 else {}
        lines.append(
            event | slow | {"payment_seconds": round(dice.random(), 3), "vip": number % 2 == 0, "cart": {"a": 1}}
        )
        if number % 10 == 0:
            lines.append(hello(number, event["request_id"]))
    return Shop(engine, tmp_path_factory.mktemp("shop"), lines)
