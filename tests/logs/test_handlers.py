"""`obs_middleware.logs.handlers.LineFileHandler`: one write a line, to the file that its name leads to."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

import needs
import pytest
from disks import Write, short_of_room

from obs_middleware import stats
from obs_middleware.logs.handlers import LineFileHandler

pytestmark = pytest.mark.usefixtures("watch")


def test_each_line_is_in_the_file_as_soon_as_it_is_logged(path: Path, write: Write) -> None:
    write("one")
    assert path.read_bytes() == b"one\n"
    write("zwei \u00e4\ud800")
    assert path.read_bytes() == "one\nzwei \u00e4?\n".encode()


@needs.RENAMING
@pytest.mark.parametrize("gone", ["renamed", "removed", "replaced", "linked"])
def test_the_file_is_found_again_when_its_name_leads_elsewhere(path: Path, write: Write, gone: str) -> None:
    """At once: a shipper may never look again at the end of a file that was renamed."""
    old, other = path.with_suffix(".1"), path.with_suffix(".new")
    for number in range(3):
        write(f"before {number}")
        if gone == "linked":
            old.unlink(missing_ok=True)
            os.link(path, old)
        if gone == "replaced":
            other.touch()
            other.rename(path)
        elif gone == "renamed":
            path.rename(old)
        else:
            path.unlink()
        write(f"after {number}")
        write(f"and {number}")

        assert path.read_text() == f"after {number}\nand {number}\n"
        if gone in {"renamed", "linked"}:
            assert old.read_text().endswith(f"before {number}\n")
        path.write_text("")


def test_a_file_that_was_only_touched_is_written_on(path: Path, write: Write, handler: LineFileHandler) -> None:
    write("one")
    file = handler._sink.file
    path.touch()
    path.chmod(0o600)
    write("two")

    assert path.read_text() == "one\ntwo\n"
    assert handler._sink.file == file


def test_a_file_that_is_copied_and_truncated_is_written_from_its_start(path: Path, write: Write) -> None:
    write("one")
    os.truncate(path, 0)
    write("two")

    assert path.read_bytes() == b"two\n"


def test_a_half_line_is_ended_first(path: Path) -> None:
    path.write_bytes(b'{"a": 1}\n{"b"')
    handler = LineFileHandler(path)
    handler.handle(logging.makeLogRecord({"msg": "{}"}))
    handler.close()

    assert path.read_bytes() == b'{"a": 1}\n{"b"\n{}\n'


def test_a_closed_handler_opens_its_file_again(path: Path, handler: LineFileHandler, write: Write) -> None:
    write("one")
    handler.close()
    write("two")

    assert path.read_text() == "one\ntwo\n"


def test_a_path_that_cannot_be_opened_is_said_when_the_handler_is_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LineFileHandler(tmp_path / "missing" / "app.log")


def test_a_full_disk_spoils_no_line_that_comes_later(
    path: Path, handler: LineFileHandler, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a line may have been written: it is ended, as that of a killed process is."""
    monkeypatch.setattr(os, "write", short_of_room(3, 0, 0))
    for text in ("first", "second", "third", "fourth"):
        write(text)

    assert path.read_text() == "fir\nthird\nDropped 2 log lines\nfourth\n"


def test_a_formatter_that_raises_costs_the_line_and_no_exception(
    path: Path, handler: LineFileHandler, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[logging.LogRecord] = []
    monkeypatch.setattr(handler, "handleError", failed.append)
    handler.setFormatter(logging.Formatter("%(nothing)s"))
    write("one")
    handler.setFormatter(None)
    write("two")

    assert [record.msg for record in failed] == ["one"]
    assert path.read_text() == "two\nDropped 1 log lines\n"


def test_endless_recursion_goes_on_as_from_every_handler(handler: LineFileHandler, write: Write) -> None:
    class Endless(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return self.format(record)

    handler.setFormatter(Endless())
    with pytest.raises(RecursionError):
        write("one")


def test_an_error_of_a_formatter_is_none_of_the_file(path: Path, handler: LineFileHandler, write: Write) -> None:
    """Another thread may be writing to it."""

    class Failing(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise OSError("no good")

    write("one")
    file = handler._sink.file
    handler.setFormatter(Failing())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging, "raiseExceptions", False)
        write("two")

    assert handler._sink.file == file is not None


def test_a_filter_method_of_a_subclass_is_asked(path: Path) -> None:
    class Silent(LineFileHandler):
        def filter(self, record: logging.LogRecord) -> Any:
            return False

    handler = Silent(path)
    assert not handler.handle(logging.makeLogRecord({"msg": "secret"}))
    handler.close()

    assert path.read_text() == ""


def test_filters_reject_and_replace(path: Path, handler: LineFileHandler, write: Write) -> None:
    handler.addFilter(lambda record: record.msg != "no")
    assert not write("no")
    assert write("yes")

    assert path.read_text() == "yes\n"


def test_a_write_that_takes_only_a_part_is_continued(path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("one")
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, bytes(data)[:3]))
    write("a longer line")

    assert path.read_text() == "one\na longer line\n"


@needs.FIFO
def test_a_fifo_is_waited_for(tmp_path: Path) -> None:
    """Its reader is slower than the writer, who waits as in every other handler, and loses nothing."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    handler = LineFileHandler(fifo)
    handler.setFormatter(logging.Formatter("%(message)s" + "x" * 50_000))
    before = stats()["sink_dropped"]
    handler.handle(logging.makeLogRecord({"msg": "nobody reads yet"}))
    assert stats()["sink_dropped"] - before == 1
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reading, True)
    received: list[bytes] = []

    def read() -> None:
        while data := os.read(reading, 4_096):
            received.append(data)

    writer = threading.Thread(target=lambda: [handler.handle(logging.makeLogRecord({"msg": n})) for n in range(5)])
    writer.start()
    while not handler._sink.file:
        pass  # until a writer has opened it, a reader would see the end
    reader = threading.Thread(target=read)
    reader.start()
    writer.join()
    handler.close()
    reader.join()
    os.close(reading)

    lines = b"".join(received).decode().splitlines()
    report = "Dropped 1 log lines"
    assert [line.partition("x")[0] for line in lines] == ["0", report, *map(str, range(1, 5))]
    assert {len(line) for line in lines} == {50_001, 50_000 + len(report)}


def test_lines_of_many_threads_are_whole(path: Path, handler: LineFileHandler) -> None:
    threads = [
        threading.Thread(
            target=lambda name=name: [
                handler.handle(logging.makeLogRecord({"msg": f"{name}{'.' * 9_000}{number}"})) for number in range(100)
            ]
        )
        for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    lines = path.read_text().splitlines()
    assert sorted(lines) == sorted(f"{name}{'.' * 9_000}{number}" for name in "abcd" for number in range(100))


def test_a_slow_formatter_holds_up_nobody_else(path: Path, handler: LineFileHandler) -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            if record.msg == "slow":
                entered.set()
                assert leave.wait(20)
            return str(record.msg)

    handler.setFormatter(Slow())
    thread = threading.Thread(target=lambda: handler.handle(logging.makeLogRecord({"msg": "slow"})))
    thread.start()
    assert entered.wait(20)
    handler.handle(logging.makeLogRecord({"msg": "quick"}))
    leave.set()
    thread.join()

    assert path.read_text() == "quick\nslow\n"
