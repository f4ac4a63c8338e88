"""`obs_middleware.logs.sinks.losses`: a line that is in no file counts as dropped, in every handler for files."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import needs
import pytest
from conftest import respond
from counts import changes, counts
from disks import short_of_room
from django.http import HttpResponse
from django.test import RequestFactory
from queued import replace

from obs_middleware import stats
from obs_middleware.logs.handlers import LineFileHandler, NonBlockingHandler
from obs_middleware.logs.sinks import file, losses, nonblocking, queued
from obs_middleware.platforms import user_id
from obs_middleware.testing import CapturedRequests

FileHandler = LineFileHandler | NonBlockingHandler
Open = Callable[[Path], FileHandler]


@pytest.fixture(name="opened", params=["blocking", "nonblocking"])
def _opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Return a function that makes the root logger write to a file. The handler looks up its name before each write."""
    monkeypatch.setattr(file, "_LOOK_SECONDS", 0)
    monkeypatch.setattr(nonblocking, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(nonblocking, "_LONGEST_PAUSE", 0.002)
    monkeypatch.setattr(queued, "DRAIN_SECONDS", 0.05)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    made: list[FileHandler] = []

    def opened(path: Path) -> FileHandler:
        handler = LineFileHandler(path) if request.param == "blocking" else NonBlockingHandler(file=path)
        made.append(handler)
        root.addHandler(handler)
        return handler

    yield opened
    for handler in made:
        root.removeHandler(handler)
        handler.close()


def serve(handler: FileHandler, number: int) -> None:
    """Serve so many requests, and wait for their lines."""
    for _ in range(number):
        respond(lambda _: HttpResponse(), RequestFactory().get("/"))
    handler.flush()


def requests_in(folder: Path) -> int:
    return sum(
        re.fullmatch(r"Request took [0-9.]{6} seconds", line) is not None  # no half line
        for path in folder.rglob("*")
        if path.is_file()
        for line in path.read_text().splitlines()
    )


def a_folder_in_its_place(path: Path) -> Callable[[], None]:
    path.rename(path.with_suffix(".1"))
    path.mkdir()
    return path.rmdir


def a_renamed_folder(path: Path) -> Callable[[], None]:
    path.parent.rename(path.parent.with_suffix(".1"))
    return path.parent.mkdir


def a_file_as_its_folder(path: Path) -> Callable[[], None]:
    path.parent.rename(path.parent.with_suffix(".1"))
    path.parent.touch()

    def undo() -> None:
        path.parent.unlink()
        path.parent.mkdir()

    return undo


def a_loop_of_links(path: Path) -> Callable[[], None]:
    path.rename(path.with_suffix(".1"))
    path.symlink_to(path)
    return path.unlink


@needs.INOTIFY
@pytest.mark.parametrize(
    "happens",
    [a_folder_in_its_place, a_renamed_folder, a_file_as_its_folder, a_loop_of_links],
    ids=lambda f: f.__name__,
)
def test_lines_go_on_to_the_open_file_while_the_new_one_cannot_be_opened(
    opened: Open,
    tmp_path: Path,
    happens: Callable[[Path], Callable[[], None]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "logs" / "site.log"
    path.parent.mkdir()
    handler = opened(path)
    before = counts()

    serve(handler, 3)
    undo = happens(path)
    serve(handler, 5)
    old = requests_in(tmp_path)
    undo()
    serve(handler, 2)

    assert old == 8
    assert requests_in(path.parent) >= 2
    assert requests_in(tmp_path) == 10
    assert changes(before) == {"requests": 10, "written": 10, "sink_written": 10}
    assert capsys.readouterr().err.count("cannot write the log") == 1


@needs.INOTIFY
def test_a_file_that_may_not_be_opened_is_no_reason_to_lose_a_line(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a rotation that creates a file of another user. The administrator may open everything."""
    path = tmp_path / "site.log"
    handler = opened(path)
    before = counts()
    serve(handler, 1)
    path.rename(tmp_path / "site.log.1")
    path.touch(0o400)

    def refuse(*_: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        replace(patched, os, open=refuse)
        serve(handler, 3)
    serve(handler, 2)

    assert (requests_in(tmp_path), path.read_text().count("\n")) == (6, 2)
    assert changes(before) == {"requests": 6, "written": 6, "sink_written": 6}


def test_what_a_full_disk_does_not_take_is_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reported failure is itself a line for this disk."""
    handler = LineFileHandler("/dev/full")
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    before = counts()
    serve(handler, 50)
    root.removeHandler(handler)
    handler.close()

    assert changes(before) == {"requests": 50, "dropped": 50, "sink_dropped": 51}
    errors = capsys.readouterr().err
    assert errors.count("No space left on device") <= 3
    assert "lines dropped so far: " in errors


@needs.INOTIFY
def test_a_removed_folder_costs_the_lines_that_nobody_could_read(tmp_path: Path) -> None:
    """The open file has no name any more, so what is written to it is lost."""
    path = tmp_path / "logs" / "site.log"
    path.parent.mkdir()
    handler = LineFileHandler(path)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    before = counts()
    serve(handler, 2)
    shutil.rmtree(path.parent)
    serve(handler, 3)
    path.parent.mkdir()
    serve(handler, 4)
    root.removeHandler(handler)
    handler.close()

    changed = changes(before)
    assert (changed["written"], changed["dropped"]) == (6, 3)
    assert requests_in(path.parent) == 4
    assert "Dropped 4 log lines\n" in path.read_text()  # and the report of the failure


def test_lost_lines_are_reported_in_the_file_at_intervals_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(losses, "monotonic", lambda: now)
    path = tmp_path / "log"
    handler = LineFileHandler(path)

    def write(text: str) -> None:
        handler.handle(logging.makeLogRecord({"msg": text}))

    reports = []
    for seconds, lost in [(0, 2), (10, 3), (21, 1), (1, 4)]:
        now += seconds
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", short_of_room(*[0] * lost))
            for _ in range(lost):
                write("lost")
        write("kept")
        reports.append(path.read_text().count("Dropped"))
    handler.close()

    assert reports == [1, 1, 2, 2]
    found = [line for line in path.read_text().splitlines() if line.startswith("Dropped")]
    assert found == ["Dropped 2 log lines", "Dropped 4 log lines", "Dropped 4 log lines"]


def test_a_handler_above_warning_reports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = LineFileHandler(tmp_path / "log")
    handler.setLevel(logging.ERROR)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", short_of_room(0))
        handler.handle(logging.makeLogRecord({"msg": "lost"}))
    handler.handle(logging.makeLogRecord({"msg": "kept"}))
    handler.close()

    assert (tmp_path / "log").read_text() == "kept\n"


def test_a_report_that_cannot_be_written_is_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = LineFileHandler(tmp_path / "log")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", short_of_room(0, 5, 0))
        handler.handle(logging.makeLogRecord({"msg": "lost"}))
        handler.handle(logging.makeLogRecord({"msg": "kept"}))
    handler.close()

    assert (tmp_path / "log").read_text() == "kept\nDropped 1 log lines\n"


def test_a_failure_is_on_stderr_at_intervals_and_on_the_logger_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lines: CapturedRequests
) -> None:
    now = 1000.0
    monkeypatch.setattr(losses, "monotonic", lambda: now)
    handler = LineFileHandler("/dev/full")
    seen = []
    for seconds in (0, 1, 28.9, 0.1, 30, 0):
        now += seconds
        handler.handle(logging.makeLogRecord({"msg": "x"}))
        seen.append(capsys.readouterr().err.count("cannot write the log to /dev/full: OSError(28"))
    handler.close()

    assert seen == [1, 0, 0, 1, 1, 0]
    assert [line["error_type"] for line in lines.logs if "error_type" in line] == ["OSError"]


@pytest.mark.parametrize("stderr", [None, io.BytesIO(), "closed"], ids=["missing", "odd", "closed"])
def test_a_stderr_that_fails_too_raises_nothing(stderr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if stderr == "closed":
        stderr = io.StringIO()
        stderr.close()
    monkeypatch.setattr(sys, "stderr", stderr)
    before = stats()["sink_dropped"]
    handler = LineFileHandler("/dev/full")
    handler.handle(logging.makeLogRecord({"msg": "x"}))
    handler.close()

    assert stats()["sink_dropped"] - before == 1


def test_a_line_that_cannot_be_formatted_counts_as_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is passed to `handleError` too, because it names the call that is wrong."""
    before = counts()
    handler = LineFileHandler(tmp_path / "log")
    handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("x",)}))
    handler.handle(logging.makeLogRecord({"msg": "fine"}))
    handler.close()

    assert changes(before) == {"sink_written": 1, "sink_dropped": 1}
    assert "Logging error" in capsys.readouterr().err


@needs.FORK
def test_a_child_process_reports_its_own_losses_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    handler = LineFileHandler(path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", short_of_room(0))
        handler.handle(logging.makeLogRecord({"msg": "lost"}))
    pid = os.fork()
    if pid == 0:
        handler.handle(logging.makeLogRecord({"msg": "child"}))
        handler.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert path.read_text() == "child\n"
    handler.close()

    assert path.read_text() == "child\nDropped 1 log lines\n"


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if user_id() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only the administrator may mount a file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@needs.NOT_WINDOWS
def test_lines_are_written_again_as_soon_as_the_disk_has_room(small_disk: Path) -> None:
    path, filler = small_disk / "site.log", small_disk / "filler"
    handler = LineFileHandler(path)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    before = counts()
    filler.write_bytes(b"x" * 57_344)
    serve(handler, 500)
    full = changes(before)
    filler.unlink()
    serve(handler, 10)
    root.removeHandler(handler)
    handler.close()

    after = changes(before)
    assert full["dropped"] > 0
    assert after["dropped"] == full["dropped"]
    assert after["written"] == requests_in(small_disk) == full["written"] + 10
    assert "Dropped" in path.read_text()
