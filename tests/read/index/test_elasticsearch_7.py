"""The templates for Elasticsearch 7, and the command, on the last Elasticsearch that is under the Apache License."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest
from console import Run
from indexed import Shop, assert_alike, both, hello, requests, took
from loglines import events
from shipping.parts import Engine, Refused, has_engine, running_engine

from obs_middleware.__main__ import main
from obs_middleware.logs.elastic import PRODUCTS, Product, templates

NAME = "elasticsearch-7"
HEAD = {"@timestamp": "2026-11-02T10:00:00.000001Z", "log.level": "info", "message": "x", "ecs.version": "9.4.0"}

pytestmark = [
    pytest.mark.shipping,
    pytest.mark.skipif(not has_engine(NAME), reason="no Java 21 or newer, or `make test-elk` has fetched no engine"),
]


@pytest.fixture(name="old", scope="module")
def _old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with running_engine(NAME, tmp_path_factory.mktemp(NAME)) as engine:
        yield engine


@pytest.fixture(name="shop", scope="module")
def _shop(old: Engine, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    lines = events(1_000, seed=7)
    return Shop(old, tmp_path_factory.mktemp("shop"), [*lines, *(hello(number, "x") for number in range(50))])


def test_it_is_what_it_says(old: Engine) -> None:
    assert old.ask("GET", "/")["version"]["number"] == "7.10.2"


def test_it_takes_what_the_command_prints(old: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["elastic-template", "--for", NAME, "--dataset", "printed"]) == 0

    for path, body in json.loads(capsys.readouterr().out).items():
        assert old.ask("PUT", f"/{path}", body) == {"acknowledged": True}


@pytest.mark.parametrize("product", [product for product in PRODUCTS if product != NAME])
def test_it_refuses_the_templates_for_others(old: Engine, product: Product) -> None:
    """So the test above could fail. The types that it lacks are not in its free edition."""
    component, _ = templates("other", product=product).values()

    with pytest.raises(Refused, match="No handler for type"):
        old.ask("PUT", "/_component_template/other", component)


def test_types_are_ours_and_whole_traces_and_bound_mappings_cost_nothing(old: Engine) -> None:
    index = f"logs-shop-{uuid4().hex}"
    wrong = {"http": {"response": {"status_code": "teapot"}}}
    line = {
        **HEAD,
        "event_id": "1",
        "url": {"path": "/orders/7/"},
        "error": {"stack_trace": "x" * 8_000, "message": "no good"},
        "labels": {"tenant": "t1"},
        "app": {"payment_seconds": 1, "payment_count": 1},
        "obs": {"extra": {"cart": {"a": [1, {"b": "x"}]}}},
    }
    said = old.fill(index, [line, line, {**HEAD, **wrong, "event_id": "2"}])

    assert [item["status"] for item in said] == [201, 409, 400]
    for query in ({"wildcard": {"url.path": "*ders/7*"}}, {"wildcard": {"error.stack_trace": "*x"}}):
        assert old.search(index, {"query": query})["hits"]["total"]["value"] == 1
    assert old.search(index, {"query": {"match": {"error.message": "good"}}})["hits"]["total"]["value"] == 1
    (found,) = old.everything(index)
    assert found == line
    (mappings,) = old.ask("GET", f"/{index}/_mapping").values()
    assert "cart" not in json.dumps(mappings)
    assert mappings["mappings"]["properties"]["app"]["properties"]["payment_seconds"]["type"] == "double"


@pytest.mark.parametrize("arguments", [["stats"], ["stats", "--by", "tenant"], ["stats", "--where", "path ~ '^/o'"]])
def test_the_command_says_the_same_as_of_the_file(arguments: list[str], run: Run, shop: Shop) -> None:
    name, *more = arguments
    here, there = both(run, shop, name, *more)

    for figure in ("requests", "errors", "first", "last", "statuses"):
        assert there["overview"][figure] == here["overview"][figure]
    if not more:
        assert_alike(there["overview"]["durations"], here["overview"]["durations"], took(requests(shop)))


def test_slow_and_time_say_the_same_as_of_the_file(run: Run, shop: Shop) -> None:
    here, there = both(run, shop, "slow", "--limit", "30")
    assert [row["request_id"] for row in there["slowest"]] == [row["request_id"] for row in here["slowest"]]
    assert len(there["slowest"]) == 30

    here, there = both(run, shop, "time", "--every", "5m")
    counted = [[(one["start"], one["requests"], one["errors"]) for one in answer["slices"]] for answer in (here, there)]
    assert counted[0] == counted[1]
    assert len(counted[0]) == 4
