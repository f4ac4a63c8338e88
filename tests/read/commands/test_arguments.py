"""Arguments that several commands share."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from console import Run, write
from loglines import FORMATS, Event


@pytest.mark.parametrize("field", ["kind", "line", "is_request", "text", "seed", "j", "keys", 'a"b', "x'y"])
def test_a_field_may_have_any_name(field: str, run: Run, tmp_path: Path, written: list[Event]) -> None:
    lines = [FORMATS["flat"](event | {field: "here"}) for event in written]
    log = write(tmp_path / "a.log", [*lines, *(FORMATS["logfmt"](event) for event in written)])

    code, out, err = run(log, "--by", field, "--format", "csv")

    assert (code, err) == (0, "")
    assert {row[field] for row in csv.DictReader(io.StringIO(out))} == {"here", ""}


def test_by_without_a_field_gives_a_message(run: Run, log: Path) -> None:
    assert run(log, "--by", ",")[0] == 2
