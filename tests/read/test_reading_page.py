"""Pages of docs/how-to: every command prints the output shown below it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import faulty
from loglines import FORMATS, events, tasks
from paths import DOCS
from shipping.parts import Engine, running_engine
from stories import OTHERS, WEB, WORKER

from obs_middleware.__main__ import COMMANDS, main

PAGES = ("alerts.md", "reading.md", "search-engine.md", "why.md")
PAGE = "".join((DOCS / "how-to" / name).read_text() for name in PAGES)
SHOWN = re.findall(r"^```console\n\$ (obs-middleware .+)\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shop = [FORMATS["flat"](event) for event in events(2_000)]
    (tmp_path / "shop.log").write_text("\n".join([*shop, "Traceback (most recent call last):", ""]))
    (tmp_path / "worker.log").write_text("".join(f"{FORMATS['flat'](event)}\n" for event in tasks(500)))
    (tmp_path / "faults.log").write_text("".join(f"{FORMATS['flat'](event)}\n" for event in faulty()))
    for name, lines in (("web", [*WEB, *OTHERS]), ("jobs", WORKER)):
        (tmp_path / f"{name}.log").write_text("".join(f"{FORMATS['flat'](line)}\n" for line in lines))
    for name, seed, factor in (("before", 1, 1.0), ("after", 2, 1.5)):
        side = [
            event | {"duration_seconds": event["duration_seconds"] * (factor if event["route"] == "checkout/" else 1)}
            for event in events(1_000, seed)
        ]
        (tmp_path / f"{name}.log").write_text("".join(f"{FORMATS['ecs'](event)}\n" for event in side))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(name="engine", scope="module")
def _engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A search engine with the lines of ``shop.log``. The first half has an older version."""
    lines = [event | {"version": "1.1" if n < 1_000 else "1.2"} for n, event in enumerate(events(2_000))]
    with running_engine("osmem", tmp_path_factory.mktemp("engine")) as engine:
        engine.fill("logs-shop-prod", [FORMATS["ecs"](line) for line in lines])
        yield engine


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_a_command_prints_the_shown_output(
    command: str, output: str, folder: Path, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(shlex.split(command.replace(":9200", f":{engine.port}"))[1:])

    assert code in {0, 1}
    assert capsys.readouterr().out.replace(f":{engine.port}", ":9200") == output


def test_every_command_has_its_section() -> None:
    ours = set(COMMANDS) - {"elastic-template", "pack"}  # docs/how-to/shipping.md and pack.md have these

    assert ours <= set(re.findall(r"^## `(\w+)`$", PAGE, re.MULTILINE))
    assert {command.split()[1] for command, _ in SHOWN} >= ours - {"tail", "report"}
