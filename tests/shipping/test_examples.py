"""`examples/elk`: files that can be read, that name what is there, and that agree with each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import jsonschema
import pytest
import yaml
from paths import ROOT
from ports import HOST
from shipping import golang
from shipping.parts import ELK, Engine
from shipping.test_queries import queries
from shipping.victoria import EXAMPLE, asked

from obs_middleware.logs.elastic import component_template

COMPOSE = sorted(ELK.glob("compose.*.yaml"))
SHIPPERS = [
    "filebeat/filebeat.yml",
    "fluent-bit/fluent-bit.yaml",
    "logstash/shop.conf",
    "otel-collector/collector.yaml",
    "rsyslog/shop.conf",
    "syslog-ng/shop.conf",
    "vector/vector.yaml",
]


@pytest.fixture(name="compose", params=COMPOSE, ids=lambda path: path.name)
def _compose(request: pytest.FixtureRequest) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(request.param.read_text())
    return loaded


# Compose files, as far as they can be checked without Docker


def test_a_compose_file_keeps_the_specification(compose: dict[str, Any]) -> None:
    """In the schema of the Compose specification that check-jsonschema ships."""
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(compose, json.loads(schema.read_text()))


def test_every_image_is_pinned(compose: dict[str, Any]) -> None:
    images = [service["image"] for service in compose["services"].values() if "image" in service]

    assert len(images) == 3
    assert all(re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+(-\w+)?", image) for image in images)
    assert re.search(r"^FROM python:\d+\.\d+-slim$", (ELK / "Dockerfile").read_text(), re.MULTILINE)


def test_every_file_that_is_named_is_there(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        if "build" in service:
            context = (ELK / service["build"]["context"]).resolve()
            assert context == ROOT
            assert (context / service["build"]["dockerfile"]).is_file()
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (ELK / source).is_file(), source
    for line in (ELK / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            assert all((ROOT / source).exists() for source in line.split()[1:-1]), line


def test_services_wait_for_services_that_are_there_and_say_when_they_are_ready(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            assert how["condition"] != "service_healthy" or "healthcheck" in services[name]
        for url in re.findall(r"http://([\w-]+):\d+", json.dumps(service)):
            assert url in services or url == HOST, url


def test_nothing_listens_beyond_the_machine(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_shipper_reads_where_the_shop_writes(compose: dict[str, Any]) -> None:
    shop = compose["services"]["shop"]
    (shipper,) = [one for name, one in compose["services"].items() if name in {"filebeat", "vector"}]

    assert shop["environment"]["SHOP_LOG_FILE"] == "/var/log/shop/app.json"
    assert shop["environment"]["SHOP_LOG_SCHEMA"] == "ecs"
    assert "logs:/var/log/shop" in shop["volumes"]
    assert "logs:/var/log/shop:ro" in shipper["volumes"]


# Shippers


@pytest.mark.parametrize("name", SHIPPERS)
def test_a_shipper_reads_the_files_sends_to_the_stream_and_uses_the_id(name: str) -> None:
    text = (ELK / name).read_text()
    plain = re.sub(r"(?m)^\s*#.*$", "", text)

    assert re.search(r"/var/log/shop/app\.(json|jso\*)", plain)
    assert "event_id" in plain
    assert "logs-shop-prod" in plain or ("shop" in plain and "prod" in plain)
    assert re.search(r"[Rr]un\b|was run|not run", "\n".join(text.splitlines()[:8])), "say what was run"


def test_the_list_of_shippers_is_complete() -> None:
    folders = {
        path.name
        for path in ELK.iterdir()
        if path.is_dir() and path.name not in {"alerts", "dashboards", "__pycache__"}
    }

    assert folders == {name.partition("/")[0] for name in SHIPPERS}


READ = ["app.json", "app.json.1", "app.json.12", "app.json-20261102"]
NOT_READ = ["app.json.2.gz", "app.json-20261102.gz", "other.json"]


def _path_is(path: str, pattern: str) -> bool:
    """Whether *pattern* matches as in a shell: an asterisk matches no slash."""
    return PurePosixPath(path).match(pattern) and pattern.count("/") == path.count("/")


def _whole_path_is(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern)


def _name_is(path: str, pattern: str) -> bool:
    return fnmatchcase(PurePosixPath(path).name, pattern)


def _ends(path: str, pattern: str) -> bool:
    return re.search(pattern, path) is not None


PATTERNS = {
    "filebeat/filebeat.yml": (r'paths: \["(/var.*)"\]', r"exclude_files: \['(.*)'\]", _ends),
    "fluent-bit/fluent-bit.yaml": (r"path: (/var/log/shop/.*)", r'exclude_path: "(.*)"', _whole_path_is),
    "logstash/shop.conf": (r'path => "(.*)"', r'exclude => "(.*)"', _name_is),
    "otel-collector/collector.yaml": (r"include: \[(.*)\]", r"exclude: \[(.*)\]", _path_is),
    "rsyslog/shop.conf": (r' File="(.*?)"', None, _path_is),
    "vector/vector.yaml": (r'include: \["(.*)"\]', r'exclude: \["(.*)"\]', _path_is),
}
"""Which files a configuration reads, which it leaves out, and how its documentation says that the latter matches."""


@pytest.mark.parametrize("name", PATTERNS)
def test_renamed_files_are_read_and_compressed_ones_are_not(name: str) -> None:
    plain = re.sub(r"(?m)^\s*#.*$", "", (ELK / name).read_text())
    includes, excludes, is_excluded = PATTERNS[name]
    (included,) = re.findall(includes, plain)
    excluded = re.findall(excludes, plain) if excludes else []
    paths = [f"/var/log/shop/{file}" for file in (*READ, *NOT_READ)]

    found = [path for path in paths if _path_is(path, included) and not any(is_excluded(path, one) for one in excluded)]
    assert found == paths[: len(READ)]


@pytest.mark.parametrize("name", [name for name in SHIPPERS if not name.endswith(".conf")])
def test_a_configuration_in_yaml_can_be_read(name: str) -> None:
    assert isinstance(yaml.safe_load((ELK / name).read_text()), dict)


def test_a_pipeline_is_json() -> None:
    (processor,) = json.loads((ELK / "filebeat" / "logs-custom.json").read_text())["processors"]

    assert processor == {"pipeline": {"name": "logs@json-pipeline"}}


@pytest.mark.parametrize("name", ["logstash/shop.conf", "rsyslog/shop.conf", "syslog-ng/shop.conf"])
def test_the_brackets_of_a_configuration_match(name: str) -> None:
    """Of these no parser is at hand; for rsyslog its own is asked in the tests from end to end."""
    text = re.sub(r'"(\\.|[^"\\])*"', '""', (ELK / name).read_text())
    text = re.sub(r"(?m)#.*$", "", text)
    for opening, closing in ("()", "{}", "[]"):
        assert text.count(opening) == text.count(closing)


def test_what_the_image_installs_is_what_the_demonstration_needs() -> None:
    demo = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["demo"]
    (needed,) = re.findall(r'"(gunicorn[^"]*)"', (ELK / "Dockerfile").read_text())

    assert needed in demo


# VictoriaLogs; test_victorialogs.py runs it


def test_victorialogs_is_asked_the_questions_that_a_search_engine_is() -> None:
    assert list(asked()) == list(queries())


def test_the_versions_on_the_page_are_those_that_are_built() -> None:
    (collector,) = {re.findall(r"^(\d+\.\d+)\.", module.partition("@v")[2])[0] for module in golang.COLLECTOR.modules}
    (victoria,) = (module.partition("@v")[2] for module in golang.VICTORIA_LOGS.modules)
    page = (EXAMPLE / "README.md").read_text()

    assert f"collector {collector} " in page
    assert f"VictoriaLogs {victoria}" in page
    assert golang.VICTORIA_LOGS.modules[0] in page
    head = (EXAMPLE / "collector.yaml").read_text().partition("receivers:")[0]
    assert f"collector {collector} and VictoriaLogs {victoria}" in head


def test_both_configurations_of_the_collector_read_the_files_in_the_same_way() -> None:
    """Only a search engine needs the id beside the line."""
    ours, theirs = (
        yaml.safe_load(path.read_text())["receivers"]["file_log"]
        for path in (EXAMPLE / "collector.yaml", ELK / "otel-collector" / "collector.yaml")
    )

    *operators, copy = theirs.pop("operators")
    assert copy["to"] == 'attributes["elasticsearch.document_id"]'
    assert ours == {**theirs, "operators": operators}


# What prepares the store


def test_the_store_is_prepared_with_templates(engine: Engine, index: str, tmp_path: Path) -> None:
    """As the compose file does it; here without dashboards."""
    if not engine.has_data_streams:
        pytest.skip("osmem-server knows no data streams")
    stale = {"template": {"mappings": {"properties": {"event_id": {"type": "keyword"}}}}}
    engine.ask("PUT", "/_component_template/obs-middleware", stale)
    said = subprocess.run(
        [sys.executable, ELK / "prepare_store.py", "opensearch"],
        check=True,
        capture_output=True,
        text=True,
        env={"STORE": f"http://{HOST}:{engine.port}"},
    ).stdout

    assert said == "PUT _component_template/obs-middleware\nPUT _index_template/logs-shop\n"
    (found,) = engine.ask("GET", "/_component_template/obs-middleware")["component_templates"]
    expected = component_template(opensearch=True)["template"]["mappings"]["properties"]
    assert set(found["component_template"]["template"]["mappings"]["properties"]) == set(expected)
    line = {"@timestamp": "2026-11-02T10:00:00Z", "event_id": "1"}
    assert [item["status"] for item in engine.fill(index, [line])] == [201]
    assert index in {stream["name"] for stream in engine.ask("GET", "/_data_stream")["data_streams"]}
