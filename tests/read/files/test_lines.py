"""Original lines that match a condition, and the lines that are read a second time."""

from __future__ import annotations

import duckdb
import pytest
from loglines import FORMATS, events

from obs_middleware.read.files.lines import not_opening_like
from obs_middleware.read.schemas import ALL_SCHEMAS


@pytest.mark.parametrize("schema", ALL_SCHEMAS)
def test_a_second_look_leaves_out_the_lines_of_the_schemas_that_are_known(
    schema: str, connection: duckdb.DuckDBPyConnection
) -> None:
    """As the package writes them, a half one excepted; lines in other schemas are looked at."""
    event = events(1)[0]
    lines = {name: FORMATS[name](event) for name in ALL_SCHEMAS}
    lines["half"] = lines[schema][:150]
    condition = not_opening_like([schema])

    looked_at = {
        name
        for name, line in lines.items()
        if connection.execute(f"SELECT {condition} FROM (SELECT ?::VARCHAR AS line)", [line]).fetchone() == (True,)
    }

    assert looked_at == {*lines} - {schema}
