"""Each migration guide, followed on a small site: what the site logged before, with both packages, and after."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import pytest
from migration.guide import BOTH, FOLDER, STEPS, rows, steps, text_of
from migration.shop import Run, Visit, run

import obs_middleware
from obs_middleware import logging_config
from obs_middleware.__main__ import main
from obs_middleware.conf import Settings
from obs_middleware.testing import parse_line


class Peer(NamedTuple):
    """
    The package that a guide begins with.

    Attributes:
        module: Its module.
        sent: The headers of a request whose id the site takes over.
        header: The header that has the id, in requests and responses.
        interfaces: Where it works.
        kept: Whether the site still imports it after the migration.
        makes_ids: Whether its log has the id before the migration.
        schema: The schema of the new log.
        environment: Variables of the site's process.
    """

    module: str
    sent: dict[str, str]
    header: str = "x-request-id"
    interfaces: tuple[str, ...] = ("wsgi", "asgi")
    kept: bool = False
    makes_ids: bool = True
    schema: str = "flat"
    environment: Mapping[str, str] = MappingProxyType({})


ID: Final = "7c9e6679742540de944be07fc1f90ae7"
SENT: Final = {"X-Request-ID": ID}
SENT_ID: Final = "/pay/?token=secret"
"""The path of the request that comes with `ID`."""
ODD_ID: Final = "/pay/?odd"
"""The path of the request with an id that some packages do not take."""
PEERS: Final = {
    "asgi-correlation-id": Peer("asgi_correlation_id", SENT, interfaces=("asgi",)),
    "django-guid": Peer("django_guid", {"Correlation-ID": ID}, header="correlation-id"),
    "django-log-request-id": Peer("log_request_id", SENT),
    "django-request-logging": Peer("request_logging", SENT),
    "django-structlog": Peer("django_structlog", SENT),
    "ecs-logging": Peer("ecs_logging", SENT, makes_ids=False, schema="ecs"),
    "opentelemetry": Peer(
        "opentelemetry.instrumentation",
        {"traceparent": f"00-{ID}-b7ad6b7169203331-01"},
        kept=True,
        environment={"OTEL_PYTHON_DJANGO_EXCLUDED_URLS": "nowhere"},  # a request without a span
    ),
    "python-json-logger": Peer("pythonjsonlogger", SENT, kept=True, makes_ids=False),
}
NAMES: Final = {
    "flat": {name: name for name in ("request_id", "path", "status", "level")},
    "ecs": {
        "request_id": "http.request.id",
        "path": "url.path",
        "status": "http.response.status_code",
        "level": "log.level",
    },
}
"""The fields of a request line that the tests read, in each schema."""

MORE: Final = {"RequestContextFilter", "exclude", "request.request_id"}
"""Names of this package in the tables, beside settings, options and the names of `obs_middleware`."""

Followed = Callable[[str, str], Run]


@pytest.fixture(name="followed", scope="module")
def _followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    """Return a function that follows a step of a guide, once for all tests."""
    runs: dict[tuple[str, str], Run] = {}

    def follow(guide: str, step: str) -> Run:
        peer = PEERS[guide]
        if (guide, step) not in runs:
            requests = [
                ("/pay/", {}),
                (SENT_ID, peer.sent),
                (ODD_ID, {peer.header: "of-a-proxy"}),
                ("/report/", {}),
                ("/nowhere/", {}),
            ]
            followed = steps(text_of(guide))[step]
            folder = tmp_path_factory.mktemp("site")
            runs[guide, step] = run(followed, folder, peer.interfaces, requests, peer.environment)
        return runs[guide, step]

    return follow


@pytest.fixture(name="guide", params=PEERS)
def _guide(request: pytest.FixtureRequest) -> str:
    guide: str = request.param
    if importlib.util.find_spec(PEERS[guide].module) is None:
        pytest.skip(f"{guide} has no version for this Python and this Django")
    return guide


def shape(line: str) -> str:
    """Return *line* without the ids, numbers and times that differ from run to run. A status stays."""
    if line.startswith("{"):
        line = json.dumps(json.loads(line), sort_keys=True)
    line = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|0x[0-9a-f]+|[0-9a-f]{16,}", "#", line)
    return re.sub(r"(?<![\d,.])(?!(?:200|404|500)(?!\d))\d+|(?<=[,.])\d+", "#", line)


def ids_in(line: str) -> set[str]:
    """Return the ids of requests and traces in *line*, without hyphens."""
    return {found.replace("-", "") for found in re.findall(r"\b[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\b", line)}


def at(line: dict[str, Any], name: str) -> Any:
    """Return the value of the field *name* of *line*, which may be in objects inside it; `...` without one."""
    if name in line:
        return line[name]
    head, _, rest = name.partition(".")
    inner = line.get(head)
    return at(inner, rest) if isinstance(inner, dict) and rest else ...


def request_line(lines: list[str], schema: str) -> dict[str, Any]:
    """Return the fields in `NAMES` of the only request line among *lines*."""
    (line,) = (line for line in map(parse_line, lines) if line["message"].startswith("Request took"))
    return {name: at(line, path) for name, path in NAMES[schema].items()}


def test_every_guide_is_tested_and_in_the_index() -> None:
    index = (FOLDER / "index.md").read_text()

    assert {page.stem for page in FOLDER.glob("*.md")} == {*PEERS, "index"}
    assert set(re.findall(r"\]\(([\w-]+)\.md\)", index)) == set(PEERS)


# What a guide shows


@pytest.mark.parametrize("step", STEPS)
def test_the_site_logs_the_lines_of_the_guide(step: str, guide: str, followed: Followed) -> None:
    shown = steps(text_of(guide))[step].lines
    written = {shape(line) for visit in followed(guide, step).visits for line in (*visit.log, *visit.file)}

    assert shown
    assert [line for line in map(shape, shown) if line not in written] == []


def test_the_settings_of_a_guide_exist(guide: str) -> None:
    known = {field.name.upper() for field in fields(Settings)} | set(inspect.signature(logging_config).parameters)
    known |= {*obs_middleware.__all__, *MORE}
    source = source_of(PEERS[guide].module)

    for row in rows(text_of(guide), "Settings"):
        assert [name for name in row.theirs if re.split(r"[.(]", name)[-2 if "(" in name else -1] not in source] == []
        assert [name for name in row.ours if name.removesuffix("()") not in known] == []


def test_the_fields_of_a_guide_exist(guide: str, followed: Followed) -> None:
    """The peer's are on a line of the old log or in its source, those of this package on a line of the new log."""
    before, after = (
        [line for visit in followed(guide, step).visits for line in visit.log] for step in ("Before", "After")
    )
    old = [json.loads(line) for line in before if line.startswith("{")]
    new = list(map(parse_line, after))
    source = source_of(PEERS[guide].module)

    for row in rows(text_of(guide), "Fields"):
        assert [name for name in row.theirs if name not in source and not any(at(o, name) != ... for o in old)] == []
        assert [name for name in row.ours if all(at(line, name) is ... for line in new)] == []


def source_of(module: str) -> str:
    """Return the source of all files of *module*."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    folders = spec.submodule_search_locations or []
    return "".join(file.read_text() for folder in folders for file in sorted(Path(folder).rglob("*.py")))


# Both for a week


def test_the_old_log_is_as_before(guide: str, followed: Followed) -> None:
    """So dashboards and alerts on it go on. Its lines may gain fields, if they had no id before."""
    before, both = followed(guide, "Before").visits, followed(guide, BOTH).visits

    for old, new in zip(before, both, strict=True):
        if PEERS[guide].makes_ids:
            assert list(map(shape, new.log)) == list(map(shape, old.log))
        else:
            for less, more in zip(old.log, new.log, strict=True):
                assert set(parts(less)) <= set(parts(more))


def parts(line: str) -> list[str]:
    """Return the shapes of the fields of *line*."""
    return [shape(json.dumps({name: value})) for name, value in parse_line(line).items()]


def test_both_packages_have_one_id(guide: str, followed: Followed) -> None:
    visits = followed(guide, BOTH).visits
    ids = [request_line(visit.file, PEERS[guide].schema)["request_id"] for visit in visits]

    for visit, one in zip(visits, ids, strict=True):
        assert {found for text in everything(visit) for found in ids_in(text)} == ids_in(one)
    made = [one for visit, one in zip(visits, ids, strict=True) if visit.path not in (SENT_ID, ODD_ID)]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("step", [BOTH, "After"])
def test_the_response_has_the_id_of_the_line(step: str, guide: str, followed: Followed) -> None:
    peer = PEERS[guide]
    for visit in followed(guide, step).visits:
        line = request_line(visit.log if step == "After" else visit.file, peer.schema)
        assert visit.headers[peer.header] == line["request_id"]


def test_the_command_finds_a_request_by_the_id_that_both_have(
    guide: str, followed: Followed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    visits = followed(guide, BOTH).visits
    log = tmp_path / "requests.log"
    log.write_text("".join(f"{line}\n" for visit in visits for line in visit.file))

    assert main(["request", visits[0].headers[PEERS[guide].header], str(log)]) == 0
    answer = capsys.readouterr().out
    assert re.search(r"GET /pay/ +200 ", answer)
    assert "Paid 1250 cents" in answer


@pytest.mark.parametrize("step", [BOTH, "After"])
def test_a_response_keeps_its_headers(step: str, guide: str, followed: Followed) -> None:
    for old, new in zip(followed(guide, "Before").visits, followed(guide, step).visits, strict=True):
        assert set(old.headers) <= set(new.headers)


# After


def test_every_request_has_one_line(guide: str, followed: Followed) -> None:
    for visit in followed(guide, "After").visits:
        line = request_line(visit.log, PEERS[guide].schema)
        assert (line["path"], line["status"]) == (visit.path.split("?")[0], visit.status)
        assert line["level"] == ("error" if visit.status == 500 else "info")
        others = [other["message"] for other in map(parse_line, visit.log)]
        assert others[:-1] == (["Paid 1250 cents"] if visit.status == 200 else [])


@pytest.mark.parametrize("step", STEPS)
def test_an_id_that_was_sent_is_used(step: str, guide: str, followed: Followed) -> None:
    for visit in followed(guide, step).visits:
        if visit.path == SENT_ID:
            found = {one for text in everything(visit) for one in ids_in(text)}
            assert found == ({ID} if PEERS[guide].makes_ids or step != "Before" else set())


def everything(visit: Visit) -> list[str]:
    return [*visit.log, *visit.file, visit.body, *visit.headers.values()]


def test_the_site_does_without_the_package(guide: str, followed: Followed) -> None:
    peer = PEERS[guide]

    assert peer.module in followed(guide, "Before").modules
    assert (peer.module in followed(guide, "After").modules) == peer.kept
