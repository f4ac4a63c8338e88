"""The console script: its commands, and how it treats arguments, streams and missing extras."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from console import COMMAND, DEADLINE, Run, on_a_terminal, write
from loglines import FORMATS, events

from obs_middleware.__main__ import COMMANDS, main
from obs_middleware.platforms import ENDING_SIGNALS


def test_help_lists_the_commands_without_importing_them() -> None:
    script = (
        "import sys; from obs_middleware.__main__ import main; code = main(['--help']);"
        "assert not {'duckdb', 'obs_middleware.read'} & set(sys.modules); sys.exit(code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=DEADLINE
    )

    assert result.returncode == 0, result.stderr
    for name, summary in COMMANDS.items():
        assert re.search(rf"^ +{name}\b", result.stdout, re.MULTILINE)
        assert summary[:20] in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, run: Run) -> None:
    code, out, _ = run(name, "--help")

    assert code == 0
    assert out.startswith(f"usage: obs-middleware {name}")


def test_the_version_is_printed(run: Run) -> None:
    assert re.fullmatch(r"obs-middleware \d+\.\d+\.\d+\n", run("--version")[1])


def test_an_unknown_command_gives_a_message(run: Run) -> None:
    message = "obs-middleware: 'stast' is neither a command nor a file: obs-middleware --help lists the commands\n"

    assert run("stast") == (2, "", message)


def test_an_unknown_option_gives_a_message(run: Run, log: Path) -> None:
    code, out, err = run("stats", log, "--fast")

    assert (code, out) == (2, "")
    assert "--fast" in err


def test_a_missing_extra_gives_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, run: Run, log: Path
) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'duckdb'", name="duckdb")

    monkeypatch.setattr("importlib.import_module", missing)

    assert run("stats", log) == (2, "", 'obs-middleware stats needs duckdb: pip install "obs-middleware[cli]"\n')


def test_any_other_missing_module_is_a_traceback(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'ours'", name="ours")

    monkeypatch.setattr("importlib.import_module", missing)

    with pytest.raises(ModuleNotFoundError):
        main(["stats", str(log)])


def test_stats_is_the_default(run: Run, log: Path) -> None:
    assert run(log) == run("stats", log)


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [FORMATS["flat"](event) for event in events(5_000)])
    with subprocess.Popen(
        [*COMMAND, "grep", "status > 0", str(log)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(DEADLINE) == 141


@pytest.mark.parametrize("number", [*ENDING_SIGNALS, signal.SIGINT])
def test_a_signal_leaves_no_copy_of_the_input_behind(number: int, tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "stats"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        deadline = time.monotonic() + DEADLINE
        while not list(tmp_path.rglob("obs-middleware-*/*")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # Python notices a signal that comes just before it waits for input only when it has read something.
        while process.poll() is None:
            assert time.monotonic() < deadline
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(3)

        assert process.returncode == 128 + number
        assert process.stderr.read() == b""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["stats", "slow", "grep", "report", "elastic-template"])
def test_a_full_disk_gives_a_message(name: str, log: Path) -> None:
    arguments = {"grep": ["status > 0", str(log)], "elastic-template": []}.get(name, [str(log)])
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [*COMMAND, name, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=DEADLINE
        )

    assert (result.returncode, result.stderr) == (2, "obs-middleware: No space left on device\n")


@pytest.mark.parametrize("closed", ["0", "1", "2"])
def test_a_closed_stream_does_no_harm(closed: str, log: Path) -> None:
    command = f'exec "$@" {closed}>&-'
    result = subprocess.run(
        ["/bin/sh", "-c", command, "sh", *COMMAND, "stats", str(log)],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )

    assert (result.returncode, result.stderr) == (0, "")


def test_a_closed_standard_input_is_empty() -> None:
    result = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, "stats"], capture_output=True, text=True, check=False
    )

    assert result.stderr == (
        "obs-middleware: standard input: no request line among 0 lines, because nothing came in: "
        "name a log file, or pipe one in (obs-middleware --help)\n"
    )
    assert result.returncode == 2


def test_output_is_utf_8_in_every_locale(log: Path, run: Run) -> None:
    result = subprocess.run(
        [*COMMAND, "stats", str(log)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
        timeout=DEADLINE,
    )

    assert result.stdout.decode() == run(log)[1]


def test_help_is_shown_without_arguments_and_without_a_pipe() -> None:
    assert "usage: obs-middleware" in on_a_terminal(NO_COLOR="1")
    assert "no log file: name one, or pipe one in" in on_a_terminal("stats")


def test_an_interrupt_while_a_command_is_imported_is_silent(tmp_path: Path) -> None:
    """DuckDB's extension module makes an ImportError of it."""
    (tmp_path / "duckdb.py").write_text(
        "import os, signal\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyboardInterrupt as error:\n"
        "    raise ImportError('Encountered an error') from error\n"
    )

    result = subprocess.run(
        [*COMMAND, "stats", __file__],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )

    assert (result.returncode, result.stdout, result.stderr) == (-signal.SIGINT, b"", b"")
