"""New lines of a file, across rotation."""

from __future__ import annotations

import os
import time
from pathlib import Path

import needs
import pytest
from console import DEADLINE

from obs_middleware.read.files import follow
from obs_middleware.read.files.follow import Follower, PipeFollower


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    path = tmp_path / "shop.log"
    path.write_text("".join(f"{number}\n" for number in range(5)))
    return path


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_the_last_lines_come_first_and_then_new_ones(path: Path) -> None:
    follower = Follower(path, 2)

    assert follower.read() == ["3", "4"]
    assert follower.read() == []
    append(path, "5\nhalf")
    assert follower.read() == ["5"]
    append(path, " a line\n")
    assert follower.read() == ["half a line"]
    follower.close()


@needs.RENAMING
def test_a_renamed_file_is_read_to_its_end_before_the_new_one(path: Path) -> None:
    follower = Follower(path, 0)
    assert follower.read() == []

    append(path, "late\n")
    path.rename(path.with_suffix(".1"))
    append(path, "new\n")

    assert follower.read() == ["late", "new"]
    follower.close()


def test_a_file_that_was_emptied_in_place_is_read_from_its_beginning(path: Path) -> None:
    follower = Follower(path, 0)
    assert follower.read() == []

    path.write_text("new\n")

    assert follower.read() == ["new"]
    follower.close()


def test_all_lines_of_a_file_that_appears_later_are_new(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "shop.log", 0)
    assert follower.read() == []

    append(tmp_path / "shop.log", "a\nb\n")

    assert follower.read() == ["a", "b"]
    follower.close()


def test_a_line_that_is_too_long_is_skipped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "MOST_BYTES_OF_A_LINE", 10)
    follower = Follower(path, 0)
    follower.read()

    append(path, "x" * 20)
    assert follower.read() == []
    append(path, "x\nshort\n")

    assert follower.read() == ["short"]
    follower.close()


def test_a_pipe_ends_when_its_other_end_is_closed() -> None:
    theirs, ours = os.pipe()
    follower = PipeFollower(theirs)

    assert follower.read() == []
    os.write(ours, b"a\nhalf")
    assert next_lines(follower) == ["a"]
    os.close(ours)
    assert next_lines(follower) == ["half"]
    assert follower.ended
    assert follower.read() == []
    os.close(theirs)


def test_a_pipe_that_cannot_be_read_is_an_error() -> None:
    theirs, ours = os.pipe()

    with pytest.raises(OSError, match="Bad file descriptor"):
        next_lines(PipeFollower(ours))
    os.close(ours)
    os.close(theirs)


def next_lines(follower: PipeFollower) -> list[str]:
    """Wait for lines."""
    deadline = time.monotonic() + DEADLINE
    while not (found := follower.read()):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return found
