"""Copies of files that DuckDB cannot read as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from loglines import FORMATS, events
from tables import Read, assert_as_written

from obs_middleware.read.files.copies import PLAIN, Shape, copy_lines, shape_of

WRITTEN = events(40)
LINES = [FORMATS["flat"](event) for event in WRITTEN]


def docker(text: str, stream: str = "stdout") -> str:
    return json.dumps({"log": text, "stream": stream, "time": "2026-11-02T10:00:00.1Z"}, separators=(",", ":"))


def shape(text: str, path: Path) -> Shape:
    path.write_bytes(text.encode())
    return shape_of([text.encode()], 1 << 16, lambda: path.open("rb"))


def test_a_plain_file_needs_no_copy(tmp_path: Path) -> None:
    for form in ("flat", "ecs", "otel", "datadog", "gcp", "logfmt"):
        text = "\n".join(FORMATS[form](event) for event in WRITTEN)

        assert shape(text, tmp_path / "a.log") == PLAIN, form
    assert shape("[2026-11-02 10:00:00 +0000] [1] [INFO] Booting\n[1, 2]\n", tmp_path / "a.log") == PLAIN
    assert shape("\n".join(docker(f"{line}\n") for line in LINES), tmp_path / "a.log") == PLAIN
    assert shape("", tmp_path / "a.log") == PLAIN


@pytest.mark.parametrize(
    "text",
    [
        f"[{','.join(LINES)}]",
        "[\n" + ",\n".join(LINES) + "\n]",
        "\ufeff[\r\n" + ",\r\n".join(LINES) + "]\r\n",
        json.dumps([json.loads(line) for line in LINES], indent=2),
        "\n".join(json.dumps(json.loads(line), indent=2) for line in LINES),
        json.dumps({"events": [{"eventId": "1", "message": line} for line in LINES]}, indent=4),
        json.dumps({"hits": {"hits": [{"_id": "1", "_source": json.loads(line)} for line in LINES]}}),
    ],
)
def test_json_in_any_layout_is_read(text: str, read: Read, tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text(text, "utf-8")

    log = read(path)

    assert_as_written(log, WRITTEN)
    assert not log.skipped


def test_json_that_breaks_off_gives_what_is_whole(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.json", tmp_path / "copy"
    path.write_text(f"[{','.join(LINES)}"[:-10])

    left_out, damage, anything = copy_lines(path, "none", Shape(document=True), copy)

    assert (left_out, anything, copy.read_text().splitlines()) == (1, True, LINES[:-1])
    assert 'JSON is damaged at \'{"timestamp"' in str(damage)


def split(number: int, line: str, form: str) -> list[str]:
    """Cut every other line in three."""
    cuts = [line[:50], line[50:90], line[90:]] if number % 2 else [line]
    if form == "cri":
        head = "2026-11-02T10:00:00.1Z stdout"
        return [f"{head} {'F' if cut is cuts[-1] else 'P'} {cut}" for cut in cuts]
    return [docker(cut + ("\n" if cut is cuts[-1] else "")) for cut in cuts]


@pytest.mark.parametrize("form", ["cri", "docker"])
@pytest.mark.parametrize("before", [0, 5_000])
def test_the_parts_of_a_line_are_joined(form: str, before: int, read: Read, tmp_path: Path) -> None:
    """Also if no sample shows a part, and with lines of the other stream between them."""
    lines = [part for number, line in enumerate(LINES) for part in split(number, line, form)]
    other = "2026-11-02T10:00:00.1Z stderr F x" if form == "cri" else docker("x\n", "stderr")
    path = tmp_path / "a.log"
    path.write_text(
        "\n".join([*[other] * before, *(text for line in lines for text in (line, other)), *[other] * before])
    )

    log = read(path)

    assert_as_written(log, WRITTEN)
    assert log.skipped == 2 * before + len(lines)


@pytest.mark.parametrize("form", ["cri", "docker"])
def test_parts_without_an_end_do_not_fill_the_memory(form: str, tmp_path: Path) -> None:
    path, copy = tmp_path / "a.log", tmp_path / "copy"
    part = "2026-11-02T10:00:00.1Z stdout P " if form == "cri" else docker("x" * 1_000)
    path.write_text(f"{part + 'x' * 1_000 if form == 'cri' else part}\n" * 3_000)

    assert copy_lines(path, "none", Shape(split=True), copy) == (1, None, False)


@pytest.mark.parametrize("form", ["flat", "ecs", "otel"])
@pytest.mark.parametrize("wrapper", [{"MESSAGE": "x", "_BOOT_ID": "1"}, {"line": "x", "labels": {}}])
def test_one_record_among_our_lines_is_noticed(form: str, wrapper: dict[str, object], tmp_path: Path) -> None:
    """Our lines are known by their beginning, and are not parsed."""
    own = [FORMATS[form]({**event, **wrapper}) for event in WRITTEN[:20]]

    assert shape("\n".join(own), tmp_path / "a.log") == PLAIN
    assert shape("\n".join([*own, json.dumps(wrapper)]), tmp_path / "a.log") == Shape(wrapped=True)


def test_our_line_with_a_stream_may_be_a_part_of_docker(tmp_path: Path) -> None:
    part = FORMATS["flat"](WRITTEN[0])[:-1] + ',"log":"half","stream":"stdout"}'

    assert shape(f"{part}\n" * 3, tmp_path / "a.log") == Shape(split=True)


def test_lines_between_records_are_kept(read: Read, tmp_path: Path) -> None:
    wrapped = [json.dumps({"MESSAGE": line, "_BOOT_ID": "1"}) for line in LINES[:20]]
    path = tmp_path / "a.log"
    path.write_text("\n".join([*wrapped, *LINES[20:], "Traceback", "{", '{"MESSAGE": 1}', "[]", "{}"]))

    log = read(path)

    assert_as_written(log, WRITTEN)
    assert log.skipped == 5
