"""The files that are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from loglines import FORMATS, events
from tables import Read, assert_as_written, write

from obs_middleware.read.errors import SourceError
from obs_middleware.read.files.sources import find_sources
from obs_middleware.read.remarks import Remarks
from obs_middleware.read.schemas import ALL_SCHEMAS


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.log", "No such file"),
        ("*.nothing", "no file matches"),
        (".", "is a directory"),
        ("a\0b", "embedded null"),
    ],
)
def test_what_cannot_be_read_is_a_message(name: str, message: str, read: Read, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=message):
        read(f"{tmp_path}/{name}")


@pytest.mark.parametrize("bad", ["missing.log", "*.nothing", ".", "a\0b"])
def test_one_bad_name_among_others_is_a_remark(bad: str, tmp_path: Path) -> None:
    good = tmp_path / "good.log"
    good.touch()
    remarks = Remarks()

    found = find_sources([str(good), f"{tmp_path}/{bad}"], tmp_path, remarks=remarks)

    assert [source.name for source in found] == [str(good)]
    (fault,) = remarks.faults
    assert fault.startswith(f"{tmp_path}/{bad}: ")


def test_all_bad_names_are_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.log: No such file.*; .*b\.log: No such file"):
        find_sources([f"{tmp_path}/a.log", f"{tmp_path}/b.log"], tmp_path)


def test_a_file_with_two_names_is_read_once(tmp_path: Path) -> None:
    log, link, hard = (tmp_path / name for name in ("site.log", "current.log", "hard.log"))
    log.touch()
    link.symlink_to(log)
    hard.hardlink_to(log)
    remarks = Remarks()

    found = find_sources([str(log), str(log), str(link), str(hard)], tmp_path, remarks=remarks)

    assert [source.name for source in found] == [str(log)]
    assert remarks.notes == [
        f"{log}: named twice, so it is read once",
        f"{link}: the same file as {log}, so it is read once",
        f"{hard}: the same file as {log}, so it is read once",
    ]
    assert not remarks.faults


@pytest.mark.parametrize("schema", ALL_SCHEMAS)
def test_the_schema_of_lines_that_this_package_has_written_is_recognised(schema: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", [FORMATS[schema](event) for event in events(90)])

    (source,) = find_sources([str(path)], tmp_path)

    assert source.schemas == (schema,)


@pytest.mark.parametrize("other", ALL_SCHEMAS)
@pytest.mark.parametrize("schema", ALL_SCHEMAS)
def test_one_line_of_another_schema_at_the_end_is_recognised(schema: str, other: str, tmp_path: Path) -> None:
    *most, last = events(90)
    path = write(tmp_path / "a.log", [*(FORMATS[schema](event) for event in most), FORMATS[other](last)])

    (source,) = find_sources([str(path)], tmp_path)

    assert set(source.schemas) >= {schema, other}


def test_a_field_of_the_application_is_no_wrapper(tmp_path: Path, read: Read) -> None:
    """Container runtimes write a key of this name, too."""
    written = [{**event, "stream": "stdout"} for event in events(90)]

    log = read(write(tmp_path / "a.log", [FORMATS["flat"](event) for event in written]))

    assert_as_written(log, written)
    assert (log.lines, log.skipped) == (90, 0)


@pytest.mark.parametrize("other", ["Traceback (most recent call last):", FORMATS["docker"](events(1)[0])])
def test_one_line_of_ours_before_lines_of_others_does_not_make_a_file_of_json(other: str, tmp_path: Path) -> None:
    path = tmp_path / "mixed.log"
    path.write_text("\n".join([FORMATS["flat"](events(1)[0]), *[other] * 9, ""]))

    assert find_sources([str(path)], tmp_path)[0].schemas == ()
