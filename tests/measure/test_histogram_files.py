"""`obs_middleware.measure.histogram_files`: counts survive the process that counted them, and are never shared."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from disks import short_of_room
from hypothesis import given
from hypothesis import strategies as st

from obs_middleware import platforms
from obs_middleware.measure.histogram_files import MOST, PLACES, HistogramFile, Key, Page, is_key_short, read_histograms

KEY: Key = ("shop", "GET", None, 200)

COUNT_AND_WAIT = """
import sys
from pathlib import Path
from obs_middleware.measure.histogram_files import HistogramFile
file = HistogramFile(Path(sys.argv[1]))
page = file.found[0][1] if file.found else file.add(("shop", "GET", None, 200))
page.numbers[0] += 1
print("counted", flush=True)
sys.stdin.read()
"""


def start(folder: Path) -> subprocess.Popen[str]:
    """Start a process that has counted one and lives on."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNT_AND_WAIT, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def release(*pages: Page) -> None:
    for page in pages:
        page.release()


def total(folder: Path) -> int:
    return sum(sum(reading.counts) for reading in read_histograms(folder))


def test_what_is_counted_is_read_at_once(tmp_path: Path) -> None:
    with closing(HistogramFile(tmp_path)) as file:
        page = file.add(KEY)
        page.numbers[2] += 3
        page.numbers[-1] += 1.5
        page.show(2, 0.5, "r-1", "a" * 32)

        (reading,) = read_histograms(tmp_path)
        assert list(file.read()) == [reading]
        release(page)

    assert (reading.key, reading.counts, reading.seconds) == (KEY, [0, 0, 3, *[0] * 12], 1.5)
    exemplar = reading.exemplars[2]
    assert exemplar is not None
    assert (exemplar.seconds, exemplar.request_id, exemplar.trace_id) == (0.5, "r-1", "a" * 32)
    assert [one for one in reading.exemplars if one is not None] == [exemplar]


def test_a_new_file_that_another_process_finds_first_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = platforms.hold
    answers = [False]
    monkeypatch.setattr(platforms, "hold", lambda file: answers.pop() if answers else hold(file))

    with closing(HistogramFile(tmp_path)) as file:
        release(file.add(KEY))

    assert [reading.key for reading in read_histograms(tmp_path)] == [KEY]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_page_that_a_power_failure_has_cut_is_written_anew(tmp_path: Path) -> None:
    with closing(HistogramFile(tmp_path)) as file:
        release(file.add(("whole",)), file.add(("cut",)))
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    path.write_bytes(data.replace(b'["cut"]', bytes(7)))

    assert [reading.key for reading in read_histograms(tmp_path)] == [("whole",)]
    with closing(HistogramFile(tmp_path)) as file:
        release(*(page for _, page in file.found), file.add(KEY))
        assert [reading.key for reading in read_histograms(tmp_path)] == [("whole",), KEY]
    assert list(tmp_path.iterdir()) == [path]


def test_the_counts_of_a_process_that_was_killed_remain_and_the_next_one_counts_on(tmp_path: Path) -> None:
    for number in range(1, 4):
        kill(start(tmp_path))
        assert total(tmp_path) == number

    assert len(list(tmp_path.iterdir())) == 1


def test_processes_that_live_at_the_same_time_have_files_of_their_own(tmp_path: Path) -> None:
    processes = [start(tmp_path) for _ in range(3)]

    assert len(list(tmp_path.iterdir())) == 3
    for process in processes:
        kill(process)
    kill(start(tmp_path))
    assert len(list(tmp_path.iterdir())) == 3
    assert total(tmp_path) == 4


def test_a_file_grows_and_is_taken_over_whole(tmp_path: Path) -> None:
    keys: list[Key] = [("shop", number) for number in range(200)]
    for _ in range(2):
        with closing(HistogramFile(tmp_path)) as file:
            pages = [page for _, page in file.found] or [file.add(key) for key in keys]
            for page in pages:
                page.numbers[0] += 1
            release(*pages)

    readings = list(read_histograms(tmp_path))
    assert [reading.key for reading in readings] == keys
    assert {reading.counts[0] for reading in readings} == {2}


def test_a_full_disk_raises_before_the_memory_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(HistogramFile(tmp_path)) as file:
        for size in (0, 100):
            monkeypatch.setattr(os, "write", short_of_room(size))
            with pytest.raises(OSError, match=r"No space left|no room"):
                file.add(KEY)
        release(file.add(KEY))

    assert [reading.key for reading in read_histograms(tmp_path)] == [KEY]


def test_a_file_of_another_layout_is_deleted_when_its_process_is_gone(tmp_path: Path) -> None:
    (tmp_path / "0.histograms").write_bytes(b"obshist0" + bytes(4096))

    with closing(HistogramFile(tmp_path)) as file:
        assert file.found == []
        release(file.add(KEY))

    assert [reading.key for reading in read_histograms(tmp_path)] == [KEY]
    assert not (tmp_path / "0.histograms").exists()


def test_other_files_and_links_are_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(bytes(4096))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.histograms").symlink_to(target)
    (folder / "README").write_text("ours")

    with closing(HistogramFile(folder)) as file:
        release(file.add(KEY))

    assert target.read_bytes() == bytes(4096)
    assert len(list(folder.iterdir())) == 3


def fill(folder: Path) -> None:
    with closing(HistogramFile(folder)) as file:
        release(*(file.add(("shop", number)) for number in range(MOST // 2 + 100)))


def test_a_server_that_starts_does_not_take_over_the_routes_of_all_releases(tmp_path: Path) -> None:
    fill(tmp_path)

    with closing(HistogramFile(tmp_path)) as file:
        assert file.found == []
    assert list(read_histograms(tmp_path)) == []


def test_a_worker_that_starts_beside_another_takes_over_all(tmp_path: Path) -> None:
    living = start(tmp_path)
    fill(tmp_path)

    with closing(HistogramFile(tmp_path)) as file:
        assert len(file.found) == MOST // 2 + 100
        release(*(page for _, page in file.found))
    kill(living)


def test_a_reader_ignores_an_exemplar_that_is_half_written(tmp_path: Path) -> None:
    with closing(HistogramFile(tmp_path)) as file:
        page = file.add(KEY)
        page.show(0, 0.1, "r-1", None)
        page._exemplars[9] ^= 1
        (reading,) = read_histograms(tmp_path)
        release(page)

    assert reading.exemplars == [None] * PLACES


@pytest.mark.parametrize(
    ("request_id", "trace_id", "expected"),
    [
        ("r" * 70, "a" * 32, ("r" * 70, "a" * 32)),
        ("r" * 100, "a" * 32, ("r" * 100, "")),
        ("r" * 128, None, None),
        ("r" * 128, "a" * 32, None),
    ],
    ids=["both", "no room for the trace", "too long", "both too long"],
)
def test_an_exemplar_is_no_longer_than_the_format_allows(
    request_id: str, trace_id: str | None, expected: object, tmp_path: Path
) -> None:
    with closing(HistogramFile(tmp_path)) as file:
        page = file.add(KEY)
        page.show(0, 0.1, request_id, trace_id)
        (reading,) = file.read()
        release(page)

    exemplar = reading.exemplars[0]
    assert (exemplar and (exemplar.request_id, exemplar.trace_id)) == expected


@given(st.lists(st.one_of(st.none(), st.integers(0, 999), st.text(max_size=200)), max_size=5))
def test_every_key_comes_back_as_it_was(values: list[str | int | None]) -> None:
    key: Key = ("shop", *values)
    if is_key_short(key):
        with closing(HistogramFile(None)) as file:
            release(file.add(key))
            assert [reading.key for reading in file.read()] == [key]


def test_a_key_without_room_is_known_before() -> None:
    assert is_key_short(("shop", "a" * 1_500))
    assert not is_key_short(("shop", "a" * 2_000))


def test_a_folder_that_is_missing_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        HistogramFile(tmp_path / "none")
