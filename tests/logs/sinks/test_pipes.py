"""`obs_middleware.logs.sinks.pipes`: where a pipe takes less than a line at once, lines do not mix all the same."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import needs
import pytest
from queued import PATIENCE, replace

from obs_middleware.logs.handlers import LineFileHandler, LineStreamHandler
from obs_middleware.logs.sinks import pipes
from obs_middleware.logs.sinks.pipes import PipeLock, pipe_lock
from obs_middleware.platforms import lock

pytestmark = [
    needs.FIFO,  # Windows has no such locks
    pytest.mark.usefixtures("short_writes"),
]


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(name="short_writes")
def _short_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS."""
    monkeypatch.setattr(pipes, "PIPE_BYTES", 512)


@pytest.fixture(name="one")
def _one(pipe: tuple[int, Any], folder: Path) -> Iterator[PipeLock]:
    made = lock_of(pipe[1].fileno())
    yield made
    made.close()


def lock_of(descriptor: int) -> PipeLock:
    made = pipe_lock(descriptor)
    assert made is not None
    return made


def test_only_a_pipe_has_a_lock_and_only_where_lines_would_mix(
    pipe: tuple[int, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (folder / "file").open("w") as file:
        assert pipe_lock(file.fileno()) is None
    assert pipe_lock(None) is None
    assert pipe_lock(999_999) is None
    assert pipe_lock(pipe[1].fileno()) is not None
    monkeypatch.setattr(pipes, "PIPE_BYTES", 4096)
    assert pipe_lock(pipe[1].fileno()) is None


def test_two_descriptors_of_one_pipe_share_a_lock(pipe: tuple[int, Any], one: PipeLock) -> None:
    """The file is removed by the first that closes its lock, and the other makes a new one."""
    other = lock_of(pipe[1].fileno())
    taken = threading.Event()

    def take() -> None:
        other.acquire()
        taken.set()

    one.acquire()
    thread = threading.Thread(target=take)
    thread.start()
    assert not taken.wait(0.05)
    one.release()
    assert taken.wait(PATIENCE)
    thread.join()
    other.release()
    path = Path(one._path)
    assert path.exists()
    one.close()
    assert not path.exists()
    other.acquire()
    assert path.exists()
    other.release()
    other.close()
    assert not path.exists()


def test_a_file_that_others_have_locked_is_not_removed(one: PipeLock) -> None:
    one.acquire()
    one.release()
    path = Path(one._path)
    with path.open() as file:
        assert lock(file.fileno())
        one.close()

    assert path.exists()


def test_a_lock_may_be_acquired_again_and_is_kept_until_the_last_release(one: PipeLock) -> None:
    """By a signal handler that logs."""
    one.acquire()
    one.acquire()
    one.release()
    with Path(one._path).open() as file:
        assert not lock(file.fileno(), wait=False)
        one.release()
        assert lock(file.fileno(), wait=False)


def test_without_a_place_for_the_file_lines_are_written(pipe: tuple[int, Any], one: PipeLock, folder: Path) -> None:
    folder.rmdir()

    assert one.write(pipe[1].fileno(), b"line\n") == 5
    assert os.read(pipe[0], 100) == b"line\n"


def test_a_link_in_the_folder_is_not_followed(pipe: tuple[int, Any], one: PipeLock, folder: Path) -> None:
    target = folder / "target"
    Path(one._path).symlink_to(target)

    assert one.write(pipe[1].fileno(), b"line\n") == 5
    assert not target.exists()


def test_the_file_of_another_user_is_not_waited_for(
    pipe: tuple[int, Any], one: PipeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(one._path)
    path.touch()
    monkeypatch.setattr(pipes, "user_id", lambda: path.stat().st_uid + 1)
    monkeypatch.setattr(pipes, "lock", lambda *_, **__: pytest.fail("waits for another user"))

    assert one.write(pipe[1].fileno(), b"line\n") == 5
    assert one._file is None


def test_a_file_system_without_locks_loses_no_line(
    pipe: tuple[int, Any], one: PipeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("fcntl.flock", refuse)

    assert one.write(pipe[1].fileno(), b"line\n") == 5


def test_a_signal_handler_that_raises_leaves_the_lock_usable(one: PipeLock, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipes, "lock", interrupted)
        with pytest.raises(KeyboardInterrupt):
            one.acquire()

    one.acquire()
    with Path(one._path).open() as file:
        assert not lock(file.fileno(), wait=False)
    one.release()


def test_a_line_is_written_to_its_end_before_others_may_write(
    pipe: tuple[int, Any], one: PipeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, steps = os.write, [3, 0, 4]

    def writing(descriptor: int, data: Any) -> int:
        step = steps.pop(0) if steps else len(data)
        if not step:
            raise BlockingIOError
        return write(descriptor, data[:step])

    replace(monkeypatch, os, write=writing)
    assert one.write(pipe[1].fileno(), b"0123456789\n") == 11
    assert os.read(pipe[0], 100) == b"0123456789\n"


def test_a_reader_that_stops_within_a_line_is_not_waited_for_for_ever(
    pipe: tuple[int, Any], one: PipeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipes, "_REST_SECONDS", 0.01)
    os.set_blocking(pipe[1].fileno(), False)

    assert 0 < one.write(pipe[1].fileno(), bytes(1_000_000)) < 1_000_000
    with pytest.raises(BlockingIOError):
        one.write(pipe[1].fileno(), b"more")


def test_a_handler_of_a_pipe_or_fifo_locks_and_leaves_no_file(
    pipe: tuple[int, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "fifo")
    reading = os.open(folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    seen: list[str] = []
    release = PipeLock.release

    def releasing(self: PipeLock) -> None:
        seen.extend(path.name for path in folder.glob("*.lock"))
        release(self)

    monkeypatch.setattr(PipeLock, "release", releasing)
    for handler in (LineStreamHandler(pipe[1]), LineFileHandler(folder / "fifo")):
        handler.handle(logging.makeLogRecord({"msg": "one"}))
        handler.close()

    assert len(set(seen)) == len(seen) == 2
    assert os.read(pipe[0], 100) == os.read(reading, 100) == b"one\n"
    assert list(folder.glob("*.lock")) == []
    os.close(reading)


WORKERS: Final = """
import logging, os, sys
from obs_middleware.logs.handlers import LineStreamHandler, NonBlockingHandler
from obs_middleware.logs.sinks import pipes
pipes.PIPE_BYTES = 512
if sys.argv[1] == "unlocked":
    pipes.PipeLock._lock_file = lambda _: None
handler = NonBlockingHandler(overflow="block") if sys.argv[1] == "nonblocking" else LineStreamHandler(sys.stdout)
logging.basicConfig(level="INFO", handlers=[handler], format="%(message)s")
logging.info("-" * 9_000)  # so that the parent has the lock file open
names = "abcd"
children = []
for name in names:
    pid = os.fork()
    if pid == 0:
        for _ in range(100):
            logging.info(name * 9_000)
        logging.shutdown()
        os._exit(0)
    children.append(pid)
sys.exit(max(os.waitpid(pid, 0)[1] for pid in children))
"""


def lines_of_workers(kind: str, folder: Path) -> Counter[str]:
    result = subprocess.run(
        [sys.executable, "-c", WORKERS, kind],
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    assert list(folder.iterdir()) == []
    return Counter(result.stdout.decode().splitlines())


@pytest.mark.parametrize("kind", ["blocking", "nonblocking"])
def test_lines_of_forked_workers_are_whole(kind: str, folder: Path) -> None:
    """Linux mixes them too, because they are longer than its limit of 4096 bytes."""
    assert lines_of_workers(kind, folder) == Counter({"-" * 9_000: 1, **{name * 9_000: 100 for name in "abcd"}})


def test_without_the_lock_they_would_mix(folder: Path) -> None:
    assert len(lines_of_workers("unlocked", folder)) > 5
