"""The fields of an index: which there are, and what they can be used for."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from console import Run
from indexed import Shop, made
from loglines import FORMATS, events
from shipping.parts import Engine

from obs_middleware.read.index.fields import value_in


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({}, "the index has no field event.duration of the schema ecs"),
        ({"event": {"properties": {"duration": {"type": "keyword"}}}}, "event.duration is keyword: obs-middleware"),
        (
            {"event": {"properties": {"duration": {"type": "long"}}}, "@timestamp": {"type": "keyword"}},
            "@timestamp is keyword: obs-middleware elastic-template",
        ),
    ],
)
def test_a_wrong_mapping_is_a_message(properties: dict[str, Any], message: str, run: Run, engine: Engine) -> None:
    code, out, err = run("stats", *made(engine, properties, {}))

    assert (code, out) == (2, "")
    assert message in err


def test_a_text_that_cannot_be_grouped_by_is_a_message(run: Run, shop: Shop) -> None:
    code, _, err = run("stats", *shop.there, "--by", "message")

    assert code == 2
    assert re.search("cannot group by message, which is (match_only_)?text", err)


def test_an_index_that_was_not_told_the_types_is_read_too(run: Run, engine: Engine) -> None:
    """There a text has a keyword beside it."""
    text = FORMATS["ecs"](next(event for event in events(50) if event["route"] == "checkout/"))
    there = made(engine, None, json.loads(text))

    code, out, err = run("stats", *there, "--route", "checkout/", "--by", "route,tenant", "--format", "csv")

    assert (code, err) == (0, "")
    assert [row[:3] for row in csv.reader(io.StringIO(out))][1][0] == "checkout/"
    slowest = json.loads(run("slow", *there, "--format", "json")[1])["slowest"]
    assert slowest[0]["path"] == "/checkout/"


def test_a_field_in_two_places_is_named_in_full(run: Run, engine: Engine, tmp_path: Path) -> None:
    lines = [line | {"size": "big" if number % 2 else 5} for number, line in enumerate(events(40))]
    shop = Shop(engine, tmp_path, lines)

    code, _, err = run("stats", *shop.there, "--by", "size")

    assert (code, err) == (2, "obs-middleware: ambiguous field size: name labels.size or app.size\n")
    assert run("stats", *shop.there, "--by", "labels.size")[0] == 0


def test_a_key_with_dots_is_several_steps() -> None:
    document = {"a.b": {"c": 1}, "a": {"b": {"d": 2}}, "e": 3}

    assert value_in(document, ["a", "b", "c"]) == 1
    assert value_in(document, ["a", "b", "d"]) == 2
    assert value_in(document, ["e", "f"]) is None
