"""`obs_middleware.logs.sinks.inotify`: the kernel says when the name of a file leads elsewhere."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import needs
import pytest
from disks import Write

from obs_middleware.logs.handlers import LineFileHandler
from obs_middleware.logs.sinks import file as sinks
from obs_middleware.logs.sinks.inotify import Watch

pytestmark = [needs.RENAMING, pytest.mark.usefixtures("watch")]


WATCHED = pytest.mark.parametrize("watch", [pytest.param("watch", marks=needs.INOTIFY)], indirect=True)
"""For tests of the watch itself, which some systems do not have."""


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the name of each system call on files."""
    calls: list[str] = []

    def count(name: str) -> None:
        real = getattr(os, name)

        def counted(*arguments: Any, **keywords: Any) -> Any:
            calls.append(name)
            return real(*arguments, **keywords)

        monkeypatch.setattr(os, name, counted)

    for name in ("write", "stat", "fstat", "open"):
        count(name)
    return calls


def test_a_line_is_one_write_and_its_name_is_looked_up_once_a_second(path: Path, write: Write, watch: bool) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        write("one", created=100.0)
        calls = count_calls(monkeypatch)
        write("two", created=100.9)
        within = calls.copy()
        calls.clear()
        write("three", created=101.0)
        after = calls.copy()
        calls.clear()
        write("four", created=99.0)

    assert within == (["write"] if watch else ["stat", "write"])
    assert after == calls == ["stat", "write"]


def test_without_a_watch_the_name_is_looked_up_every_hundredth_of_a_second(
    path: Path, handler: LineFileHandler, watch: bool
) -> None:
    """For each line, that would cost twice as much as writing it."""
    for created, text in ((100.0, "one"), (100.009, "two"), (100.011, "three")):
        handler.handle(logging.makeLogRecord({"msg": text, "created": created}))
        if text == "one":
            path.rename(path.with_suffix(".1"))

    assert path.with_suffix(".1").read_text() == ("one\n" if watch else "one\ntwo\n")
    assert path.read_text() == ("two\nthree\n" if watch else "three\n")


def test_what_the_kernel_does_not_tell_is_found_within_a_second(tmp_path: Path) -> None:
    """A link that leads elsewhere, as with one folder for each day."""
    for day in ("monday", "tuesday"):
        (tmp_path / day).mkdir()
    link = tmp_path / "today"
    link.symlink_to("monday")
    handler = LineFileHandler(link / "app.log")
    handler.handle(logging.makeLogRecord({"msg": "one", "created": 100.0}))
    link.unlink()
    link.symlink_to("tuesday")
    handler.handle(logging.makeLogRecord({"msg": "two", "created": 101.0}))
    handler.close()

    assert (tmp_path / "monday" / "app.log").read_text() == "one\n"
    assert (tmp_path / "tuesday" / "app.log").read_text() == "two\n"


@needs.FORK
def test_parent_and_child_both_find_the_file_again(path: Path, write: Write) -> None:
    """Each event of the kernel is delivered once, to the first reader."""
    write("one")
    path.rename(path.with_suffix(".1"))
    pid = os.fork()
    if pid == 0:
        write("child")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    path.rename(path.with_suffix(".2"))
    write("parent")

    assert path.read_text() == "parent\n"
    assert path.with_suffix(".2").read_text() == "child\n"
    assert path.with_suffix(".1").read_text() == "one\n"


@needs.FORK
def test_a_child_has_a_watch_of_its_own(path: Path, write: Write) -> None:
    write("one")
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        write("child")
        os.write(ready[1], b".")
        os.read(go[0], 1)
        write("child again")
        os._exit(0)
    os.read(ready[0], 1)
    path.rename(path.with_suffix(".1"))
    write("parent")
    os.write(go[1], b".")
    assert os.waitpid(pid, 0)[1] == 0
    for descriptor in (*ready, *go):
        os.close(descriptor)

    assert path.read_text() == "parent\nchild again\n"


def test_a_handler_leaves_no_descriptor_behind(path: Path, write: Write, handler: LineFileHandler) -> None:
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir())) if descriptors.exists() else 0
    for number in range(5):
        write("one")
        path.rename(path.with_suffix(f".{number}"))
        write("two")
    handler.close()

    assert not before or len(list(descriptors.iterdir())) <= before


@WATCHED
def test_a_watch_that_is_not_to_be_had_is_tried_again_with_the_next_file(
    path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def none() -> Watch:
        tried.append("watch")
        raise OSError("too many")

    monkeypatch.setattr(sinks, "Watch", none)
    for _ in range(3):
        write("one")
    assert tried == ["watch"]
    path.rename(path.with_suffix(".1"))
    monkeypatch.undo()
    for _ in range(2):
        write("two")

    assert path.read_text() == "two\ntwo\n"


@WATCHED
@pytest.mark.parametrize("missing", ["epoll", "libc"])
def test_where_parts_of_a_watch_are_missing_the_name_is_looked_up(
    path: Path, write: Write, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """The name is looked up instead."""
    if missing == "epoll":
        monkeypatch.delattr("select.epoll", raising=False)
    else:
        monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    write("one")
    path.rename(path.with_suffix(".1"))
    write("two")

    assert path.read_text() == "two\n"


UNDER_GEVENT: Final = """
from gevent import monkey
monkey.patch_all()
import logging, sys
from pathlib import Path
from obs_middleware.logs.handlers import LineFileHandler
path = Path(sys.argv[1])
handler = LineFileHandler(path)
handler.handle(logging.makeLogRecord({"msg": "one", "created": 100.0}))
path.rename(path.with_suffix(".1"))
handler.handle(logging.makeLogRecord({"msg": "two", "created": 100.0}))
"""


@WATCHED
def test_a_file_is_watched_under_gevent(path: Path) -> None:
    """It takes epoll away, but keeps it."""
    pytest.importorskip("gevent")
    subprocess.run([sys.executable, "-c", UNDER_GEVENT, str(path)], timeout=60, check=True)

    assert path.read_text() == "two\n"


@WATCHED
def test_a_handler_that_is_forgotten_takes_its_watch_along(path: Path) -> None:
    descriptors = Path("/proc/self/fd")

    def watches() -> int:
        return sum("inotify" in str(one.readlink()) for one in descriptors.iterdir() if one.is_symlink())

    before = watches()
    handler = LineFileHandler(path)
    handler.handle(logging.makeLogRecord({"msg": "one"}))
    assert watches() == before + 1
    del handler
    gc.collect()

    assert watches() == before


@WATCHED
def test_only_the_open_file_is_watched(path: Path, write: Write, handler: LineFileHandler) -> None:
    for number in range(5):
        write("one")
        path.rename(path.with_suffix(f".{number}"))
    write("two")
    assert handler._sink._watch is not None
    described = Path(f"/proc/self/fdinfo/{handler._sink._watch._file}").read_text()

    assert described.count("inotify wd:") == 1
