"""`obs_middleware.logs.sinks.file`: full disks, rotation, half lines and FIFOs."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import threading
import time
from pathlib import Path
from typing import Any

import needs
import pytest
from disks import short_of_room
from queued import PATIENCE, Make, join_threads, log, replace

from obs_middleware import stats
from obs_middleware.logs.handlers import NonBlockingHandler
from obs_middleware.logs.sinks import file, losses, queued
from obs_middleware.testing import CapturedRequests

# Disks


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("to_file", [True, False])
def test_a_full_disk_is_tried_again_until_there_is_room(
    make: Make, tmp_path: Path, lines: CapturedRequests, monkeypatch: pytest.MonkeyPatch, to_file: bool
) -> None:
    """A line that was written by half goes on where it stopped."""
    path = tmp_path / "log"
    replace(monkeypatch, os, write=short_of_room(0, 0, 3, 0, 0))
    with path.open("ab") as stream:
        handler = make(file=path) if to_file else make(stream)
        log("first", "second")
        handler.flush()

        assert path.read_text() == "first\nsecond\n"
    assert [line["error_type"] for line in lines.logs if "error_type" in line] == ["OSError"]


@pytest.mark.usefixtures("quick")
def test_a_line_that_others_have_written_behind_is_begun_anew(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that a full disk has cut cannot continue behind the line of another process."""
    path = tmp_path / "log"

    def write_too() -> None:
        with path.open("a") as other:
            other.write("other's\n")

    replace(monkeypatch, os, write=short_of_room(3, 0, meanwhile=write_too))
    handler = make(file=path)
    log("first", "second")
    handler.flush()

    assert path.read_text() == "firother's\nfirst\nsecond\n"


@pytest.mark.usefixtures("quick")
def test_a_disk_that_stays_full_does_not_keep_the_process_alive(
    make: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(queued, "DRAIN_SECONDS", 0.05)
    before = stats()
    with Path("/dev/full").open("w") as stream:
        handler = make(stream)
        log("x")
        handler.close()
        join_threads()

    assert stats()["sink_dropped"] - before["sink_dropped"] == 1
    assert "No space left on device" in capsys.readouterr().err


def test_the_pause_between_tries_doubles_up_to_five_seconds(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a write has succeeded, the next failure starts with the shortest pause again."""
    full, taken, pauses = [True] * 9 + [False] + [True] * 2, [], []

    class Disk(io.RawIOBase):
        def write(self, data: Any) -> int:
            if full and full.pop(0):
                raise OSError(errno.ENOSPC, "No space left on device")
            taken.append(bytes(data[:3]))
            return 3

    handler = make(Disk())
    wait = handler._work.wait

    def waiting(seconds: float | None = None) -> None:
        if seconds is None:  # for the next line
            wait()
        else:
            pauses.append(seconds)

    monkeypatch.setattr(handler._work, "wait", waiting)
    log("12345")
    handler.flush()

    assert taken == [b"123", b"45\n"]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 0.1, 0.2]


# Files


@needs.RENAMING
def test_a_file_is_appended_to_and_found_again_when_it_was_renamed_or_removed(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    handler = make(file=path)

    def step(message: str) -> None:
        log(message)
        handler.flush()

    step("one")
    path.rename(tmp_path / "log.1")
    step("two")
    path.unlink()
    step("three")

    assert (tmp_path / "log.1").read_text() == "before\none\n"
    assert path.read_text() == "three\n"


def test_a_file_that_is_copied_and_truncated_is_written_from_its_start(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "log"
    handler = make(file=path)
    log("one")
    handler.flush()
    os.truncate(path, 0)
    log("two")
    handler.flush()

    assert path.read_text() == "two\n"


@needs.RENAMING
@pytest.mark.usefixtures("quick")
def test_a_folder_that_is_removed_for_a_while_costs_no_line(
    make: Make, tmp_path: Path, lines: CapturedRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    handler = make(file=folder / "log")
    told = threading.Event()
    monkeypatch.setattr(losses, "report_once", lambda *_: told.set())
    shutil.rmtree(folder)
    log("one")
    assert told.wait(PATIENCE)
    folder.mkdir()
    handler.flush()

    assert (folder / "log").read_text() == "one\n"


def test_a_file_that_cannot_be_opened_is_said_when_logging_is_configured(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        NonBlockingHandler(file=tmp_path / "nowhere" / "log")


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "new\n"), ("whole\n", "whole\nnew\n"), ('{"half', '{"half\nnew\n')],
    ids=["empty", "whole", "half"],
)
def test_a_new_line_starts_on_its_own_line(make: Make, tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "log"
    path.write_text(before)
    handler = make(file=path)
    assert path.read_text() == before
    log("new")
    handler.flush()

    assert path.read_text() == after


def test_only_one_of_two_ends_a_half_line(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("half")
    one, two = make(file=path), make(file=path)
    log("new")
    one.flush()
    two.flush()

    assert path.read_text() == "half\nnew\nnew\n"


def test_what_another_process_is_writing_just_now_is_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_text("ha")
    sink = file.FileSink(path)
    rests = ["lf", "\n"]

    def passing(seconds: float) -> None:
        with path.open("a") as file:
            file.write(rests.pop(0))

    replace(monkeypatch, time, sleep=passing)
    assert sink.renew()
    assert not sink.renew()
    sink.close()

    assert path.read_text() == "half\n"


def test_a_file_in_constant_use_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_text("x")
    sink = file.FileSink(path)

    def passing(seconds: float) -> None:
        with path.open("a") as file:
            file.write("x")

    replace(monkeypatch, time, sleep=passing)
    assert sink.renew()
    sink.close()

    assert set(path.read_text()) == {"x"}


@pytest.mark.parametrize("locked", [True, False])
def test_a_lock_that_cannot_be_had_keeps_no_line_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    path = tmp_path / "log"
    path.write_text("half")
    sink = file.FileSink(path)

    monkeypatch.setattr(file, "lock", lambda *_, wait: locked)
    replace(monkeypatch, time, sleep=lambda _: None)
    sink.renew()
    sink.close()

    assert path.read_text() == "half\n"


def test_a_file_that_may_not_be_read_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_text("half")
    sink = file.FileSink(path)

    def refuse(*_: Any) -> int:
        raise PermissionError

    replace(monkeypatch, os, open=refuse)
    assert sink.renew()
    sink.close()
    sink.close()

    assert path.read_text() == "half"


@needs.RENAMING
def test_a_line_begun_before_a_rotation_is_whole_in_the_new_file(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    handler = make(file=path)
    write = os.write
    state: list[int] = [len("first\nsec")]

    def writing(descriptor: int, data: Any) -> int:
        if state:
            written = write(descriptor, data[: state.pop()])
            path.rename(tmp_path / "log.1")
            return written
        return write(descriptor, data)

    replace(monkeypatch, os, write=writing)
    with handler._lock:
        log("first", "second", "third")
    handler.flush()

    assert (tmp_path / "log.1").read_text() == "first\nsec"
    assert path.read_text() == "second\nthird\n"


@needs.FIFO
def test_a_file_may_be_a_fifo_that_nobody_reads_yet(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    handler = make(file=path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log("x")
    handler.flush()

    assert stat.S_ISFIFO(path.stat().st_mode)
    assert os.read(reading, 100) == b"x\n"
    os.close(reading)
