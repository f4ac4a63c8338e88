"""The files that are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from tables import Read

from obs_middleware.read.errors import SourceError


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
