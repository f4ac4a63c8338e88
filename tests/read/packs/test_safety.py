"""No line is lost and none is doubled: growing logs, crashes, a full disk, two processes, `--delete` and `--keep`."""

from __future__ import annotations

import datetime as dt
import errno
import gzip
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from console import DEADLINE, Run
from loglines import FORMATS, events
from needs import FIFO
from packed import Kept, Pack

from obs_middleware.read.packs import pack as packing
from obs_middleware.read.packs import rows

LINES = [FORMATS["flat"](event).encode() for event in events(60)]
HOUR = 3_600


def log_of(path: Path, lines: list[bytes], age: float = HOUR) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    when = path.stat().st_mtime - age
    os.utime(path, (when, when))
    return path


def test_a_log_is_packed_once_under_any_name(pack: Pack, tmp_path: Path) -> None:
    log = log_of(tmp_path / "a.log", LINES)
    assert pack(log) == LINES
    (path,) = (tmp_path / "packs").rglob("*.parquet")
    before = path.stat()

    packed = tmp_path / "a.log.1.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))

    assert pack(log.rename(tmp_path / "a.log.1")) == LINES
    assert pack(packed) == LINES
    assert path.stat() == before


def test_a_growing_log_replaces_its_pack(pack: Pack, tmp_path: Path) -> None:
    """Also if the last line was written only in part, or in the middle of a character."""
    lines = [*LINES, '{"note":"caf\u00e9"}'.encode(), *LINES[:3]]
    whole = b"\n".join(lines)
    log = tmp_path / "a.log"
    cuts = [len(b"\n".join(LINES[:20])), len(b"\n".join(LINES)) - 30, whole.index(b"caf") + 4, len(whole)]
    for cut in cuts:
        log.write_bytes(whole[:cut])
        assert pack(log) == whole[:cut].split(b"\n")
    log.write_bytes(whole[: cuts[0]])

    assert pack(log) == lines


def test_other_logs_with_the_same_first_line_stand_beside_it(pack: Pack, tmp_path: Path) -> None:
    first, second = [b"start", *LINES[:5]], [b"start", *LINES[5:9]]

    pack(log_of(tmp_path / "a.log", first))

    assert sorted(pack(log_of(tmp_path / "b.log", second))) == sorted(first + second)


def test_each_day_has_a_file_and_lines_without_a_time_follow_the_line_before(pack: Pack, tmp_path: Path) -> None:
    def at(time: str) -> bytes:
        return f'{{"timestamp":"{time}","level":"info","logger":"a","message":"m"}}'.encode()

    lines = [b"no time", at("2026-11-01T23:59:59.000000Z"), b"  after", at("2026-11-02T00:00:00.000001Z")]
    lines += [at("2026-11-01T23:59:59.900000Z"), b"2026-11-02T01:30:00+02:00 INFO zone", b"Traceback", LINES[0]]
    pack(log_of(tmp_path / "a.log", lines))

    days = {path.name: path for path in (tmp_path / "packs").glob("day=*")}

    assert sorted(days) == ["day=2026-11-01", "day=2026-11-02"]
    assert pack(tmp_path / "a.log") == [*lines[:3], *lines[4:7], lines[3], lines[7]]


CRASH = """
import os, signal, sys
from pathlib import Path
from typing import Any
from obs_middleware.__main__ import main
from obs_middleware.read.packs import pack

name, when, left = sys.argv[1], sys.argv[2], int(sys.argv[3])
owner = Path if name == "replace" else pack._Packing if name == "compare" else pack
original = getattr(owner, name)

def dying(*arguments, **options):
    global left
    left -= 1
    if when == "before" and not left:
        os.kill(os.getpid(), signal.SIGKILL)
    result = original(*arguments, **options)
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(owner, name, dying)
sys.exit(main(sys.argv[4:]))
"""


@pytest.mark.parametrize(
    ("name", "when", "call"),
    [("save", "after", 2), ("compare", "after", 1), ("sync", "before", 1), ("replace", "after", 1)],
)
def test_a_killed_process_leaves_the_old_or_the_new(
    name: str, when: str, call: int, pack: Pack, kept: Kept, tmp_path: Path
) -> None:
    other_day = [line.replace(b"2026-11-02", b"2026-11-03") for line in LINES]
    log = log_of(tmp_path / "a.log", LINES[:20])
    pack(log)
    log_of(log, [*LINES, *other_day])

    options = ["pack", str(log), "--to", str(tmp_path / "packs"), "--delete"]
    done = subprocess.run(
        [sys.executable, "-c", CRASH, name, when, str(call), *options],
        check=False,
        capture_output=True,
        timeout=DEADLINE,
    )

    assert done.returncode == -signal.SIGKILL, done.stderr
    assert kept() == (LINES if name == "replace" else LINES[:20])
    assert log.exists()
    assert pack(log, "--delete") == [*LINES, *other_day]
    assert not log.exists()
    assert not list((tmp_path / "packs").rglob("*.part"))


def test_a_full_disk_leaves_the_old(pack: Pack, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of(tmp_path / "a.log", LINES[:20])
    pack(log)
    log_of(log, LINES)

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(packing, "sync", full)
        code, _, err = run("pack", log, "--to", tmp_path / "packs", "--delete")

    assert (code, err) == (2, "obs-middleware: No space left on device\n")
    assert not list((tmp_path / "packs").rglob("*.part"))
    assert log.exists()
    assert pack(log) == LINES


def test_a_pack_that_differs_from_the_log_is_not_kept(
    pack: Pack, run: Run, kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(tmp_path / "a.log", LINES[:20])
    pack(log)
    log_of(log, LINES)
    save = rows.save

    def damaging(connection: object, lines: str, *others: object) -> None:
        save(connection, lines.replace("SELECT line", "SELECT replace(line, '500', '200') AS line"), *others)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(packing, "save", damaging)
        code, _, err = run("pack", log, "--to", tmp_path / "packs", "--delete")

    assert code == 2
    assert "is not the same in its pack, so nothing was packed" in err
    assert log.exists()
    assert kept() == LINES[:20]


def test_only_a_log_that_is_no_longer_written_to_is_deleted(pack: Pack, run: Run, tmp_path: Path) -> None:
    old, new = log_of(tmp_path / "a.log.1", LINES[:5]), log_of(tmp_path / "a.log", LINES[5:], age=30)

    code, out, _ = run("pack", tmp_path / "a.log*", "--to", tmp_path / "packs", "--delete", "--format", "csv")

    assert code == 0
    assert not old.exists()
    assert new.exists()
    assert [row.partition(",")[2].split(",", 3)[3] for row in out.splitlines()[1:]] == [
        '"packed, deleted"',
        '"packed, kept: it may still be written to"',
    ]


def test_a_log_that_changes_meanwhile_is_not_deleted(
    run: Run, kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(tmp_path / "a.log", LINES[:5])
    finish = packing._Packing.finish

    def growing(self: packing._Packing) -> None:
        finish(self)
        with log.open("ab") as file:
            file.write(LINES[5] + b"\n")

    monkeypatch.setattr(packing._Packing, "finish", growing)
    code, out, _ = run("pack", log, "--to", tmp_path / "packs", "--delete")

    assert code == 0
    assert "kept: it has changed" in out
    assert log.exists()
    assert kept() == LINES[:5]


def test_a_log_that_cannot_be_read_to_its_end_is_not_packed(run: Run, kept: Kept, tmp_path: Path) -> None:
    log = tmp_path / "a.log.gz"
    log.write_bytes(gzip.compress(b"\n".join(LINES))[:-20])

    code, _, err = run("pack", log, "--to", tmp_path / "packs", "--delete")

    assert code == 2
    assert "cannot be read to its end, so it is not packed" in err
    assert log.exists()
    assert kept() == []


def test_one_process_writes_to_a_folder(run: Run, tmp_path: Path) -> None:
    import fcntl  # noqa: PLC0415 -- Windows has none

    (tmp_path / "packs").mkdir()
    with (tmp_path / "packs" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, _, err = run("pack", log_of(tmp_path / "a.log", LINES), "--to", tmp_path / "packs")

    assert code == 2
    assert "another process is writing packs here" in err


def test_old_days_are_removed_when_asked(pack: Pack, run: Run, tmp_path: Path) -> None:
    today = dt.datetime.now(dt.UTC).date()
    days = [str(today - dt.timedelta(days=days)) for days in (0, 1, 2, 3, 40)]
    lines = [LINES[0].replace(b"2026-11-02", day.encode()) for day in days]
    pack(log_of(tmp_path / "a.log", lines))
    packs = tmp_path / "packs"
    (packs / f"day={days[3]}" / "notes.txt").write_text("mine")
    (packs / "day=other").mkdir()

    code, out, err = run("pack", "--to", packs, "--keep", "2d")

    assert (code, err) == (0, "")
    assert out.endswith(f"removed: {days[4]}, {days[3]}\n")
    assert sorted(path.parent.name for path in packs.rglob("*.parquet")) == sorted(f"day={day}" for day in days[:3])
    assert (packs / f"day={days[3]}" / "notes.txt").exists()
    assert not (packs / f"day={days[4]}").exists()
    assert run("pack", "--to", packs)[0] == 2


def test_a_log_that_grows_while_it_is_packed_is_packed_as_far_as_it_was(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(tmp_path / "a.log", LINES)
    size = len(b"\n".join(LINES[:20])) - 9
    whole = log.read_bytes()
    log.write_bytes(whole[:size])
    save = rows.save

    def growing(*arguments: Any) -> None:
        save(*arguments)
        with log.open("ab") as file:
            file.write(whole[size:])
        os.utime(log, (1e9, 1e9))

    with monkeypatch.context() as patch:
        patch.setattr(packing, "save", growing)
        assert pack(log, "--delete") == whole[:size].split(b"\n")
    assert pack(log) == LINES


def test_folders_are_on_the_disk_before_a_log_is_deleted(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if an earlier process was killed after it had given a pack its name."""
    synced: list[Path] = []
    log = log_of(tmp_path / "a.log", LINES[:5])
    monkeypatch.setattr(packing, "sync", synced.append)
    for _ in range(2):
        synced.clear()
        pack(log)

        assert synced[-2:] == [tmp_path / "packs" / "day=2026-11-02", tmp_path / "packs"]


@pytest.mark.parametrize("name", ["pack", "zip", "gz.gz", "link"])
def test_what_is_no_log_is_not_deleted(name: str, pack: Pack, run: Run, tmp_path: Path) -> None:
    """Packs keep lines: the bytes of an archive would not all come back."""
    log = log_of(tmp_path / "a.log", LINES[:5])
    pack(log)
    (found,) = (tmp_path / "packs").rglob("*.parquet")
    other = tmp_path / "other"
    if name == "pack":
        other = found
    elif name == "zip":
        with zipfile.ZipFile(other, "w") as archive:
            archive.write(log)
    elif name == "gz.gz":
        other.write_bytes(gzip.compress(gzip.compress(log.read_bytes())))
    else:
        other.symlink_to(log)
    os.utime(other, (1e9, 1e9))

    code, out, err = run("pack", other, "--to", tmp_path / "packs", "--delete")

    if name == "link":
        assert (code, "kept: it is a link" in out) == (0, True)
    else:
        assert code == 2
        assert "is a Parquet file or an archive without lines, so it is not packed" in err
    assert other.exists()
    assert list((tmp_path / "packs").rglob("*.parquet")) == [found]


@FIFO
def test_a_fault_of_one_log_does_not_keep_the_others(run: Run, kept: Kept, tmp_path: Path) -> None:
    log = log_of(tmp_path / "a.log", LINES[:5])
    damaged, missing, pipe = tmp_path / "b.gz", tmp_path / "c.log", tmp_path / "d.log"
    damaged.write_bytes(gzip.compress(b"\n".join(LINES))[:-20])
    os.mkfifo(pipe)

    code, _, err = run("pack", damaged, missing, pipe, tmp_path, log, "--to", tmp_path / "packs")

    assert code == 3
    assert kept() == LINES[:5]
    assert [line.partition(": ")[2].partition(":")[0] for line in err.splitlines()] == [
        str(one) for one in (damaged, missing, pipe, tmp_path)
    ]


def test_files_of_others_are_not_removed(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "packs" / "day=2020-01-01"
    place.mkdir(parents=True)
    for name in ("0123456789abcdef.parquet", "0123456789abcdef-2.parquet", "mine.parquet"):
        (place / name).touch()

    assert run("pack", "--to", tmp_path / "packs", "--keep", "1d")[0] == 0
    assert [path.name for path in place.iterdir()] == ["mine.parquet"]
