"""Fixtures: the log of a shop, and `run`, which runs a command in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from console import Run, write
from loglines import FORMATS, Event, events

from obs_middleware.__main__ import main


@pytest.fixture(name="run")
def _run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(one) for one in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(name="written")
def _written() -> list[Event]:
    return events(300)


@pytest.fixture(name="log")
def _log(tmp_path: Path, written: list[Event]) -> Path:
    return write(tmp_path / "shop.log", [FORMATS["flat"](event) for event in written])
