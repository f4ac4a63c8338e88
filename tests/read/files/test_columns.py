"""The SQL that reads a field from its place in a line."""

from __future__ import annotations

from obs_middleware.read.files.columns import columns_of, expression_of
from obs_middleware.read.schemas import ALL_SCHEMAS


def test_a_key_that_is_text_here_and_an_object_there_is_read_as_both() -> None:
    columns = columns_of(["service"], ALL_SCHEMAS)

    assert columns["service"] == "JSON"
    assert """json_extract_string("service", '$."name"')""" in expression_of("service", ALL_SCHEMAS, columns)
