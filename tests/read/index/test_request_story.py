"""`obs-middleware request` asked of a search engine."""

from __future__ import annotations

import json

import pytest
from console import Run
from indexed import Shop
from shipping.parts import Engine
from stories import CHECKOUT, OTHERS, TREE, WEB, WORKER


@pytest.fixture(name="checkout", scope="module")
def _checkout(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(engine, tmp_path_factory.mktemp("checkout"), [*WEB, *OTHERS, *WORKER])


def test_an_index_tells_the_same_story(run: Run, checkout: Shop) -> None:
    assert run("request", "7d3c", *checkout.there) == (0, TREE, "")
    assert run("request", "t-receipt", *checkout.there)[1].partition(":")[2] == TREE.partition(":")[2]
    assert json.loads(run("request", CHECKOUT, *checkout.there, "--format", "json")[1]) == json.loads(
        run("request", CHECKOUT, checkout.file, "--format", "json")[1]
    )


@pytest.mark.parametrize(
    ("expression", "count"), [("tasks = 't-stock'", 1), ("tasks != 't-stock'", 1), ("tasks = 't'", 0)]
)
def test_a_list_is_asked_for_one_of_its_texts(run: Run, checkout: Shop, expression: str, count: int) -> None:
    """In files and in an index."""
    for where in ([checkout.file], checkout.there):
        assert run("grep", expression, *where, "--count")[1] == f"{count}\n"
