"""Pages of docs/how-to: what their snippets and their commands for a shell do to a line and to a log."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings
from loglines import FORMATS, events
from paths import DOCS

from obs_middleware.testing import capture_requests

TEXT = ["Booting worker with pid: 17", "{broken", '{"message":"Paid 1250 cents","level":"info"}']


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    lines = [FORMATS["flat"](event) for event in events(200)]
    (tmp_path / "shop.log").write_text("\n".join([*lines, *TEXT, ""]))
    return tmp_path


def sh(command: str, folder: Path) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    result = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stderr == ""
    return result.stdout


def snippets(page: str) -> list[dict[str, Any]]:
    """Run each snippet of Python alone, and return what it defines."""
    found = re.findall(r"^```python\n(.*?)^```$", (DOCS / "how-to" / page).read_text(), re.MULTILINE | re.DOTALL)
    spaces: list[dict[str, Any]] = [{} for _ in found]
    for code, space in zip(found, spaces, strict=True):
        exec(code, space)
    return spaces


def user_of(line: str) -> str | None:
    try:
        found = json.loads(line).get("user_id")
    except ValueError:
        return None
    return None if found is None else str(found)


def test_the_lines_of_a_person_are_deleted_and_all_others_stay(folder: Path) -> None:
    """The two commands of gdpr.md also delete what the view logged in the requests of this person."""
    page = (DOCS / "how-to" / "gdpr.md").read_text()
    (block,) = re.findall(r"^```console\n((?:\$ .*\n)*\$ grep -v.*\n)```$", page, re.MULTILINE)
    log = (folder / "shop.log").rename(folder / "shop.log.1")
    before = log.read_text().splitlines()
    theirs = [line for line in before if user_of(line) == "1"]
    inside = json.dumps({"message": "Paid", "request_id": json.loads(theirs[0])["request_id"]}, separators=(",", ":"))
    log.write_text("\n".join([inside, *before, ""]))

    sh(block.replace("$ ", ""), folder)

    assert theirs
    assert log.read_text().splitlines() == [line for line in before if line not in theirs]


@pytest.mark.parametrize(("address", "network"), [("192.0.2.17", "192.0.2.0/24"), ("2001:db8::17", "2001:db8::/48")])
def test_a_line_has_only_the_network_of_a_client(address: str, network: str) -> None:
    settings = snippets("gdpr.md")[2]["OBS_MIDDLEWARE"]

    with override_settings(OBS_MIDDLEWARE=settings), capture_requests() as lines:
        Client(REMOTE_ADDR=address).get("/")

    assert lines.one.client_network == network
    assert address not in json.dumps(lines.one)


def test_a_line_has_a_pseudonym_that_depends_on_the_secret_key() -> None:
    pseudonym = snippets("gdpr.md")[1]["OBS_MIDDLEWARE"]["USER"]

    first, again, second = (pseudonym(User(pk=key)) for key in (17, 17, 18))
    with override_settings(SECRET_KEY="another"):
        other = pseudonym(User(pk=17))

    assert first == again
    assert len({first, second, other}) == 3


@pytest.mark.parametrize(
    ("changed", "speaks"),
    [({}, True), ({"--errors 1%": "--errors 90%"}, False), ({"--least 20": "--least 99999"}, False)],
    ids=["a limit is broken", "no limit is broken", "too few requests"],
)
def test_cron_mails_only_if_a_limit_is_broken(changed: dict[str, str], speaks: bool, folder: Path) -> None:
    page = (DOCS / "how-to" / "alerts.md").read_text()
    (line,) = re.findall(r"^\*/5 \* \* \* \* +(.*)$", page, re.MULTILINE)
    command = line.replace(r"\%", "%").replace("/var/log/shop/app.json --since 5m", "shop.log")
    for old, new in changed.items():
        assert old in command
        command = command.replace(old, new)

    assert ("errors 1.00%" in " ".join(sh(command, folder).split())) == speaks
