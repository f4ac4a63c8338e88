"""docs/reading.md: every command that it shows gives what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from loglines import FORMATS, events

from obs_middleware.__main__ import COMMANDS, main

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "reading.md").read_text()
SHOWN = re.findall(r"^```console\n\$ (obs-middleware .+)\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shop = [FORMATS["flat"](event) for event in events(2_000)]
    (tmp_path / "shop.log").write_text("\n".join([*shop, "Traceback (most recent call last):", ""]))
    for name, seed, factor in (("before", 1, 1.0), ("after", 2, 1.3)):
        side = [
            event | {"duration_seconds": event["duration_seconds"] * (factor if event["route"] == "checkout/" else 1)}
            for event in events(1_000, seed)
        ]
        (tmp_path / f"{name}.log").write_text("".join(f"{FORMATS['ecs'](event)}\n" for event in side))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_a_command_gives_what_the_page_shows(
    command: str, output: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(shlex.split(command)[1:])

    assert code in {0, 1}
    assert capsys.readouterr().out == output


def test_every_command_has_its_section() -> None:
    ours = [name for name, command in COMMANDS.items() if command.module.startswith("obs_middleware.read.")]

    assert set(ours) <= set(re.findall(r"^## `(\w+)`$", PAGE, re.MULTILINE))
    assert {command.split()[1] for command, _ in SHOWN} >= set(ours) - {"tail", "report"}
