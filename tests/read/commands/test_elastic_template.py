"""`obs-middleware elastic-template`: the templates, ready to send."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from obs_middleware.__main__ import main
from obs_middleware.logs.elastic import PRODUCTS, Product, component_template, index_template, templates


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_command_prints_the_requests_in_their_order(capsys: pytest.CaptureFixture[str], product: Product) -> None:
    assert main(["elastic-template", "--dataset", "shop", "--for", product]) == 0

    printed = json.loads(capsys.readouterr().out)
    assert list(printed) == ["_component_template/obs-middleware", "_index_template/logs-shop"]
    assert printed == templates("shop", product=product)


def test_without_a_product_the_templates_are_for_elasticsearch(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["elastic-template"]) == 0

    assert json.loads(capsys.readouterr().out) == templates(product="elasticsearch")


def test_opensearch_as_an_argument_of_its_own_means_the_same() -> None:
    assert templates(opensearch=True) == templates(product="opensearch")


def test_elasticsearch_7_gets_only_types_and_components_of_its_free_edition() -> None:
    component, index = templates(product="elasticsearch-7").values()

    text = json.dumps(component)
    assert not any(word in text for word in ("flattened", "flat_object", "wildcard", "match_only_text"))
    properties = component["template"]["mappings"]["properties"]
    assert properties["obs"]["properties"]["extra"] == {"type": "object", "enabled": False}
    assert properties["message"] == {"type": "text"}
    assert properties["error"]["properties"]["stack_trace"] == {"type": "keyword", "ignore_above": 8_191}
    assert index["composed_of"] == ["obs-middleware"]
    assert "data_stream" not in index


def test_an_unknown_product_gives_a_message() -> None:
    with pytest.raises(ValueError, match="product is 'solr'; use one of elasticsearch, elasticsearch-7, opensearch"):
        templates(product="solr")  # type: ignore[arg-type]


def test_the_command_prints_one_body(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["elastic-template", "--part", "component"]) == 0
    assert json.loads(capsys.readouterr().out) == component_template()
    assert main(["elastic-template", "--part", "index", "--plain", "--pattern", "a*", "--priority", "7"]) == 0
    assert json.loads(capsys.readouterr().out) == index_template(pattern="a*", plain=True, priority=7)


def test_an_invalid_dataset_gives_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["elastic-template", "--dataset", "my-shop"]) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    assert "'my-shop'" in printed.err


def test_the_command_runs_as_a_module() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "obs_middleware", "elastic-template"], check=True, capture_output=True, text=True
    ).stdout

    assert json.loads(shown) == templates()
