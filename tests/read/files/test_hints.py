"""The hints on files without a request line."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
from loglines import FORMATS, events

from obs_middleware.read.files.hints import hint_of
from obs_middleware.read.files.sources import find_sources

(EVENT,) = events(1)
LINE = FORMATS["flat"](EVENT)


def hint(content: bytes, folder: Path) -> str:
    path = folder / "a.log"
    path.write_bytes(content)
    return hint_of(find_sources([str(path)], folder))


@pytest.mark.parametrize(
    ("record", "command"),
    [
        ({"seq": 1, "payload": {"text": LINE}}, "payload.text: jq -r '.payload.text' FILE"),
        ({"body": "Request took 0.1 seconds"}, "body: jq -r '.body' FILE"),
        ({"a": {"b": {"c": json.loads(LINE)}}}, "a.b.c: jq -c '.a.b.c' FILE"),
        ({"my-app": {"x y": LINE}}, """my-app.x y: jq -r '.["my-app"]["x y"]' FILE"""),
    ],
)
def test_an_unknown_wrapper_is_told_by_its_field(record: object, command: str, tmp_path: Path) -> None:
    content = "\n".join(["Traceback", "{", json.dumps(record)])

    assert hint(content.encode(), tmp_path) == f": the lines are in the field {command} takes them out of their wrapper"


def test_files_of_other_programs_are_named(tmp_path: Path) -> None:
    packed, tape = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.log", LINE)
    with tarfile.open(fileobj=tape, mode="w") as archive_of_tapes:
        archive_of_tapes.addfile(tarfile.TarInfo("a.log"))

    assert "a zip archive" in hint(packed.getvalue(), tmp_path)
    assert "a tar archive" in hint(tape.getvalue(), tmp_path)
    assert "journalctl" in hint(b"LPKSHHRH" + bytes(100), tmp_path)
    access = b'127.0.0.1 - - [02/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 12 "-" "curl"\n'
    assert "access log" in hint(access, tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello\n", b'{"a": [1, {"b": null}]}\n', b"\xff" * 100, b'{"x": ' * 5000])
def test_any_other_file_gets_no_hint(content: bytes, tmp_path: Path) -> None:
    assert hint(content, tmp_path) == ""
