"""The setting ``COMMANDS``: one line for each management command, however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand
from django.test import override_settings
from needs import FORK

from obs_middleware import bind, stats
from obs_middleware.testing import CapturedRequests
from obs_middleware.work import commands, tasks

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def command(body: Callable[[], Any], name: str = "pay") -> BaseCommand:
    class Command(BaseCommand):
        requires_system_checks = ()

        def handle(self, *args: Any, **options: Any) -> None:
            body()

    Command.__module__ = f"shop.management.commands.{name}"
    return Command()


def stop(error: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


class Incomplete(CommandError):
    """Does not call its base class, as some do, and so has no ``returncode``."""

    def __init__(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "outcome", "code", "level"),
    [
        (None, "ok", 0, "info"),
        (ValueError("no"), "error", 1, "error"),
        (CommandError("no", returncode=3), "error", 3, "error"),
        (SystemExit(4), "error", 4, "error"),
        (SystemExit("no"), "error", 1, "error"),
        (SystemExit(), "ok", 0, "info"),
        (SystemExit(True), "error", 1, "error"),
        (Incomplete(), "error", 1, "error"),
        (KeyboardInterrupt(), "cancelled", 130, "info"),
    ],
)
def test_a_command_has_one_line_however_it_ends(
    error: BaseException | None, outcome: str, code: int, level: str, lines: CapturedRequests
) -> None:
    before = stats()["commands"]
    with override_settings(OBS_MIDDLEWARE={"COMMANDS": True, "SAMPLE_RATE": 0}):
        if error is None:
            call_command(command(lambda: bind(rows=3)))
        else:
            with pytest.raises(type(error)):
                call_command(command(stop(error)))

    (line,) = lines
    assert re.fullmatch(r"Command took \d+\.\d{4} seconds", line["message"])
    assert (line["kind"], line["command"], line["outcome"]) == ("command", "pay", outcome)
    assert (line["exit_code"], line["level"]) == (code, level)
    assert ("error_type" in line) == (error is not None and not isinstance(error, (SystemExit, KeyboardInterrupt)))
    assert stats()["commands"] == before + 1


def test_a_command_inside_another_unit_is_part_of_it(lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"COMMANDS": True}):
        call_command(command(lambda: call_command(command(lambda: None, "inner")), "outer"))
        with tasks.running("shop.pay", "t-1"):
            call_command(command(lambda: None))

    assert [line.get("command", line.get("task")) for line in lines] == ["outer", "shop.pay"]


@pytest.mark.parametrize(
    ("setting", "measured"),
    [(False, []), (True, ["pay"]), (["pay"], ["pay"]), (["shell"], ["shell"]), ([], [])],
)
def test_the_setting_chooses_the_commands(setting: Any, measured: list[str], lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"COMMANDS": setting}):
        for name in ("pay", "shell"):
            call_command(command(lambda: None, name))

    assert [line["command"] for line in lines] == measured


def test_without_the_setting_nothing_is_replaced() -> None:
    execute = BaseCommand.execute
    with override_settings(OBS_MIDDLEWARE={"COMMANDS": True}):
        assert BaseCommand.execute is not execute

    assert BaseCommand.execute is execute


def test_the_environment_brings_the_id_and_the_trace(monkeypatch: pytest.MonkeyPatch, lines: CapturedRequests) -> None:
    monkeypatch.setenv("REQUEST_ID", "cron-1")
    monkeypatch.setenv("TRACEPARENT", TRACEPARENT)
    with override_settings(OBS_MIDDLEWARE={"COMMANDS": True}):
        call_command(command(lambda: None))

    assert lines[0]["request_id"] == "cron-1"
    assert (lines[0]["trace_id"], lines[0]["parent_span_id"]) == tuple(TRACEPARENT.split("-")[1:3])


PROGRAM = """
import logging.config, multiprocessing, os, signal, sys, time
import django
from django.conf import settings
from django.core.management import ManagementUtility
from django.core.management.base import BaseCommand
from obs_middleware import logging_config

settings.configure(
    INSTALLED_APPS=["obs_middleware"], LOGGING=logging_config(file=sys.argv[1], nonblocking=True),
    OBS_MIDDLEWARE={"COMMANDS": True}, LOGGING_CONFIG="logging.config.dictConfig",
)

class Command(BaseCommand):
    requires_system_checks = ()
    def handle(self, **options):
        BODY

Command.__module__ = "shop.management.commands.pay"
django.setup()
Command().run_from_argv(["manage.py", "pay"])
"""


@pytest.mark.parametrize("reconfigured", ["", "logging.config.dictConfig(settings.LOGGING); "], ids=["once", "again"])
def test_sigterm_writes_the_line_and_ends_the_process_as_before(reconfigured: str, tmp_path: Path) -> None:
    log = tmp_path / "app.json"
    program = PROGRAM.replace("BODY", f'{reconfigured}print("started", flush=True); time.sleep(60)')
    with subprocess.Popen(
        [sys.executable, "-c", program, str(log)], stdout=subprocess.PIPE, env={**os.environ, "REQUEST_ID": "cron-1"}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        process.terminate()
        assert process.wait(timeout=30) == -signal.SIGTERM

    (line,) = map(json.loads, log.read_text().splitlines())
    assert (line["command"], line["outcome"], line["exit_code"]) == ("pay", "cancelled", 143)
    assert line["request_id"] == "cron-1"


EXITING_FORK = """
        child = os.fork()
        if not child:
            sys.exit(3)
        os.waitpid(child, 0)
"""

TERMINATED_FORK = """
        child = multiprocessing.get_context("fork").Process(target=lambda: (os.write(1, b"."), time.sleep(60)))
        child.start()
        os.read(0, 1)
        child.terminate()
        child.join()
        assert child.exitcode == -signal.SIGTERM
"""

CHAINED_HANDLER = """
        def stop(number, frame):
            if callable(before):
                before(number, frame)

        before = signal.signal(signal.SIGTERM, stop)
        signal.raise_signal(signal.SIGTERM)
"""


@FORK
@pytest.mark.parametrize(
    "body", [EXITING_FORK, TERMINATED_FORK, CHAINED_HANDLER], ids=["exit", "terminated", "chained"]
)
def test_the_line_is_that_of_the_command_and_not_of_its_forks_and_handlers(body: str, tmp_path: Path) -> None:
    log = tmp_path / "app.json"
    program = PROGRAM.replace("BODY", body.strip()).replace("nonblocking=True", "nonblocking=False")
    ready, started = os.pipe()
    with os.fdopen(ready), os.fdopen(started):
        done = subprocess.run(
            [sys.executable, "-c", program, str(log)], stdin=ready, stdout=started, check=False, timeout=60
        )

    assert done.returncode == 0
    (line,) = map(json.loads, log.read_text().splitlines())
    assert (line["outcome"], line["exit_code"]) == ("ok", 0)


def test_the_names_that_are_left_out_are_commands_of_known_packages() -> None:
    assert {"runserver", "shell", "test"} <= commands.LEFT_OUT
    assert "migrate" not in commands.LEFT_OUT
