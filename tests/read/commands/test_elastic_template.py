"""`obs-middleware elastic-template`: the templates, ready to send."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from obs_middleware.__main__ import main
from obs_middleware.logs.elastic import component_template, index_template, templates


@pytest.fixture(name="opensearch", params=[False, True], ids=["elasticsearch", "opensearch"])
def _opensearch(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_the_command_prints_the_requests_in_their_order(capsys: pytest.CaptureFixture[str], opensearch: bool) -> None:
    assert main(["elastic-template", "--dataset", "shop", *(["--for", "opensearch"] if opensearch else [])]) == 0

    printed = json.loads(capsys.readouterr().out)
    assert list(printed) == ["_component_template/obs-middleware", "_index_template/logs-shop"]
    assert printed == templates("shop", opensearch=opensearch)


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
