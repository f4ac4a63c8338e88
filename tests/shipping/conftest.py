from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import pytest
from servers.harness import new_shop
from shipping.parts import Engine, engine_name, running_engine
from shipping.shippers import Rsyslog


def pytest_report_header() -> str:
    names = {"opensearch": "OpenSearch 3.8", "elasticsearch-7": "Elasticsearch 7.10", "osmem": "osmem-server"}
    return f"engine: {names[engine_name()]}"


@pytest.fixture(name="engine", scope="session")
def _engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine, with the templates of the package; of a wrong type it says so, and does not leave the field out."""
    with running_engine(engine_name(), tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture(name="index")
def _index(engine: Engine) -> str:
    """The name of a data stream, or of an index where there are none, which the first document of the test makes."""
    return f"logs-shop-{uuid4().hex}"


@pytest.fixture(name="logs")
def _logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


@pytest.fixture(name="rsyslog")
def _rsyslog(engine: Engine, index: str, logs: Path, tmp_path: Path) -> Iterator[Rsyslog]:
    """rsyslog, running, from the files in *logs* to *index*."""
    spool = tmp_path / "spool"
    spool.mkdir()
    rsyslog = Rsyslog(logs, spool, engine.port, index)
    rsyslog.check()
    with rsyslog.running():
        yield rsyslog


@pytest.fixture(name="shop")
def _shop(tmp_path: Path, logs: Path) -> Mapping[str, str]:
    """The environment of a quickstart that writes its lines for a search engine."""
    variables = {"SHOP_LOG_FORMAT": "json", "SHOP_LOG_SCHEMA": "ecs", "SHOP_LOG_FILE": str(logs / "app.json")}
    return new_shop(tmp_path / "db.sqlite3", **variables)
