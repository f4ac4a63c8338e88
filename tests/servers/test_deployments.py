"""The examples for Docker, Kubernetes, systemd and logrotate: schemas, and their commands with their settings."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate
import pytest
import yaml
from paths import ROOT
from servers.harness import Answer, Call, Server, new_shop, running, send_all

from obs_middleware.testing import parse_line

DOCKER: Final = ROOT / "examples" / "docker"
SYSTEMD: Final = ROOT / "examples" / "systemd"
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
MANIFESTS: Final[dict[str, dict[str, Any]]] = {
    one["kind"]: one
    for one in yaml.safe_load_all((ROOT / "examples" / "kubernetes" / "shop.yaml").read_text(encoding="utf-8"))
}
POD: Final[dict[str, Any]] = MANIFESTS["Deployment"]["spec"]["template"]
PROBED: Final = Call("GET", "/healthz", {"Host": "localhost"})


def serving(command: Sequence[str], env: Mapping[str, str], output: Path) -> AbstractContextManager[Server]:
    """Run the shop with the *command* of an example, which begins with Python and -m, on a free port."""
    output.mkdir()
    python, module, *arguments = command
    assert (Path(python).name, module) == ("python", "-m")
    text = "\0".join(arguments).replace("0.0.0.0\0--port\x008000", "127.0.0.1\0--port\0{port}")
    text = re.sub(r"(0\.0\.0\.0|127\.0\.0\.1):8000", "fd://{fd}", text)
    assert "{port}" in text or "{fd}" in text
    return running(text.split("\0"), output=output, env=env)


def environment(tmp_path: Path, variables: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment of a shop with the settings of the Docker example and its own database."""
    image = re.findall(r"\b([A-Z_]+)=(\S+)", (DOCKER / "Dockerfile").read_text(encoding="utf-8"))
    env = {**dict(image), **variables, "PYTHONPATH": str(DOCKER)}
    database = tmp_path / "db.sqlite3"
    new_shop(database)
    return {**env, "SHOP_DATABASE": str(database)}


def check_lines(server: Server, answers: Sequence[Answer], version: str) -> None:
    """Stop *server*, and check that the requests of *answers* have their lines, one line of JSON each."""
    server.stop()
    lines = {line["request_id"]: line for line in server.lines() if line["message"].startswith("Request took")}
    for answer in answers:
        line = lines[answer.headers["x-request-id"]]
        assert (line["status"], line["service"], line["version"]) == (answer.status, "shop", version)


# Docker


def test_the_compose_file_keeps_the_specification() -> None:
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(COMPOSE, json.loads(schema.read_text(encoding="utf-8")))


def test_the_image_has_everything_that_the_services_need() -> None:
    dockerfile = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    build = COMPOSE["services"]["gunicorn"]["build"]

    assert (DOCKER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).read_text(encoding="utf-8") == dockerfile
    for line in dockerfile.splitlines():
        if line.startswith("COPY "):
            assert all((ROOT / source).exists() for source in line.split()[1:-1]), line
    demo = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("\ndemo = [")[2].partition("]\n")[0]
    for needed in re.findall(r' "([^.][^"]*)"', dockerfile.partition("RUN pip")[2].partition("\n")[0]):
        assert f'"{needed}"' in demo, needed


@pytest.mark.parametrize("service", ["gunicorn", "uvicorn"])
def test_a_service_writes_a_line_of_json_for_each_request(service: str, tmp_path: Path) -> None:
    described = COMPOSE["services"][service]
    env = environment(tmp_path, described["environment"])
    with serving(described["command"], env, tmp_path / "output") as server:
        calls = [Call("GET", "/products/teapot/"), Call("GET", "/nowhere/"), Call("GET", "/report/")] * 4
        answers = send_all(server, calls)
        probes = send_all(server, [PROBED] * 12, clients=1)
        check_lines(server, answers, "1.0")
        quiet = [line for line in server.lines() if line.get("path") == PROBED.target]

    assert {answer.status for answer in answers} == {200, 404, 500}
    assert {probe.status for probe in probes} == {200}
    assert 1 <= len(quiet) <= 2  # the first of each worker
    assert str(described["healthcheck"]["test"]).count(PROBED.target) == 1


@pytest.mark.parametrize("service", ["gunicorn", "uvicorn"])
def test_a_service_has_more_time_to_stop_than_its_server_takes(service: str) -> None:
    described = COMPOSE["services"][service]

    assert seconds_of(described["command"]) < int(described["stop_grace_period"].removesuffix("s"))


def seconds_of(command: Sequence[str]) -> int:
    """Return how long the server of *command* waits for its requests."""
    (name,) = {"--graceful-timeout", "--timeout-graceful-shutdown"} & {*command}
    return int(command[command.index(name) + 1])


# Kubernetes


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_manifest_keeps_the_schema_of_kubernetes(kind: str) -> None:
    kubernetes_validate.validate(MANIFESTS[kind], "1.32", strict=True)


def test_the_manifests_select_the_pods_of_the_deployment() -> None:
    labels = POD["metadata"]["labels"].items()
    spec = MANIFESTS["Deployment"]["spec"]

    for selector in (
        spec["selector"]["matchLabels"],
        MANIFESTS["Service"]["spec"]["selector"],
        MANIFESTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels
    (container,) = POD["spec"]["containers"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in POD["spec"]["volumes"]}


def test_a_pod_has_more_time_to_stop_than_its_server_takes() -> None:
    (container,) = POD["spec"]["containers"]
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])

    assert pause + seconds_of(container["command"]) < POD["spec"]["terminationGracePeriodSeconds"]


def test_a_pod_writes_lines_with_its_label_and_answers_its_probes(tmp_path: Path) -> None:
    (container,) = POD["spec"]["containers"]
    variables = {
        one["name"]: one["value"] if "value" in one else field_of(one["valueFrom"]["fieldRef"]["fieldPath"])
        for one in container["env"]
    }
    version = POD["metadata"]["labels"]["app.kubernetes.io/version"]
    with serving(container["command"], environment(tmp_path, variables), tmp_path / "output") as server:
        probe = container["readinessProbe"]["httpGet"]
        (header,) = probe["httpHeaders"]
        probes = [Call("GET", probe["path"], {header["name"]: header["value"]})]
        visited = Call("GET", "/", {"Host": "shop.example", "X-Forwarded-For": "192.0.2.7"})
        by_address = Call("GET", probe["path"], {"Host": "10.1.2.3:8000"})
        answers = send_all(server, [*probes, visited, by_address], clients=1)
        lines = server.lines_so_far()
        check_lines(server, answers, version)

    assert [answer.status for answer in answers] == [200, 200, 400]
    assert [line["client_ip"] for line in lines if line.get("path") == "/"] == ["192.0.2.7"]


def field_of(path: str) -> str:
    """Return the label that *path* of the downward API names."""
    (label,) = re.findall(r"^metadata\.labels\['(.+)'\]$", path)
    return str(POD["metadata"]["labels"][label])


# systemd and logrotate


def unit() -> configparser.ConfigParser:
    """Return the unit. Of keys that it repeats, *Environment* is joined."""
    text = (SYSTEMD / "shop.service").read_text(encoding="utf-8")
    joined = " ".join(re.findall(r"^Environment=(.*)$", text, re.MULTILINE))
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys have capitals
    parser.read_string(re.sub(r"^Environment=.*\n", "", text, flags=re.MULTILINE))
    parser["Service"]["Environment"] = joined
    return parser


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_unit_is_valid(tmp_path: Path) -> None:
    text = (SYSTEMD / "shop.service").read_text(encoding="utf-8")
    installed = tmp_path / "shop.service"
    installed.write_text(text.replace("/srv/shop/.venv/bin/python", sys.executable), encoding="utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", installed],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


class Notified:
    """The socket on which systemd hears that a service is ready."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(30)

    def receive(self) -> str:
        with self._socket:
            return self._socket.recv(4096).decode()


def rotated(config: Path, state: Path) -> None:
    """Rotate now, whatever the day."""
    done = subprocess.run(
        ["logrotate", "--force", f"--state={state}", config], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="needs logrotate")
def test_the_service_loses_no_line_when_its_log_is_rotated(tmp_path: Path) -> None:
    service = unit()["Service"]
    variables = dict(one.split("=", 1) for one in shlex.split(service["Environment"]))
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o750)
    log = logs / Path(variables["SHOP_LOG_FILE"]).name
    config = tmp_path / "shop.logrotate"
    text = (SYSTEMD / "shop.logrotate").read_text(encoding="utf-8")
    assert variables["SHOP_LOG_FILE"] in text
    text = text.replace(variables["SHOP_LOG_FILE"], str(log)).replace("su shop shop", owner(logs))
    config.write_text(text, encoding="utf-8")
    config.chmod(0o644)
    database = tmp_path / "db.sqlite3"
    notified = Notified(tmp_path / "notify")
    env = {
        **new_shop(database),
        **variables,
        "SHOP_DATABASE": str(database),
        "SHOP_LOG_FILE": str(log),
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
    }

    command = service["ExecStart"].replace("--workers 4", "--workers 2")
    with serving(shlex.split(command), env, tmp_path / "output") as server:
        assert "READY=1" in notified.receive()
        visits = [Call("GET", "/products/teapot/")] * 50
        answers = send_all(server, visits)
        with ThreadPoolExecutor(1) as visitors:
            more = visitors.submit(send_all, server, visits * 2)
            rotated(config, tmp_path / "state")
            answers += more.result()
        (renamed,) = logs.glob("app.json-*")
        written = [
            parse_line(line) for file in (renamed, log) for line in file.read_text(encoding="utf-8").splitlines()
        ]
        yesterday = renamed.rename(renamed.with_name("app.json-20260101"))
        rotated(config, tmp_path / "state")
        send_all(server, [Call("GET", "/")])

    assert re.fullmatch(r"app\.json-\d{8}", renamed.name)
    assert {answer.status for answer in answers} == {200}
    assert sorted(line["http"]["request"]["id"] for line in written if "http" in line) == sorted(
        answer.headers["x-request-id"] for answer in answers
    )
    assert {file.name for file in logs.iterdir()} == {"app.json", renamed.name, f"{yesterday.name}.gz"}
    assert len(log.read_text(encoding="utf-8").splitlines()) == 1
    read = subprocess.run(
        [sys.executable, "-m", "obs_middleware", "stats", "--format", "json", f"{log}*"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(read.stdout)["overview"]["requests"] == 151


def owner(folder: Path) -> str:
    """Return the line of logrotate that names the owner of *folder*, for whom it is to work."""
    return f"su {folder.owner()} {folder.group()}" if os.getuid() == 0 else ""


def test_the_service_stops_before_systemd_kills_it() -> None:
    service = unit()["Service"]

    assert service["KillMode"] == "mixed"
    assert seconds_of(shlex.split(service["ExecStart"])) < int(service["TimeoutStopSec"])
