"""The groups of an index: their queries and their keys."""

from __future__ import annotations

from obs_middleware.read.index.dsl import IndexField
from obs_middleware.read.index.grouping import Grouping

ROUTE = IndexField("http.route", "keyword")
DURATION = IndexField("event.duration", "long", nanoseconds=True)
GROUPING = Grouping(("route", "view", "duration_seconds"), (ROUTE, None, DURATION))


def test_a_field_that_the_index_lacks_is_no_source_and_null() -> None:
    assert [[*source] for source in GROUPING.sources] == [["k0"], ["k2"]]
    assert GROUPING.raw({"k0": "orders/", "k2": 5}) == ("orders/", None, 5)


def test_keys_are_text_as_they_are_for_files() -> None:
    assert GROUPING.keys(("orders/", None, 500_000_000)) == ("orders/", None, "0.5")
    assert Grouping(("vip",), (IndexField("labels.vip", "boolean"),)).keys([True]) == ("true",)


def test_the_query_of_a_group_excludes_a_missing_field() -> None:
    assert GROUPING.query((None, None, 5)) == {
        "bool": {
            "filter": [{"term": {"event.duration": {"value": 5}}}],
            "must_not": [{"exists": {"field": "http.route"}}],
        }
    }
