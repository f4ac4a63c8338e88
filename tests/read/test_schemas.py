"""The reader's table of places agrees with what the write wing writes."""

from __future__ import annotations

import pytest
from loglines import START

from obs_middleware.logs.schemas import SCHEMAS
from obs_middleware.measure.vocabulary import FIELDS
from obs_middleware.read.schemas import ALL_SCHEMAS, OWN, PLACES, TYPES, columns_of, expression_of

UNITS = {"ns": "nanoseconds", "latency": "seconds: ", "url": "URL", "upper": "", "trace": "traces"}


def test_the_schemas_are_those_of_the_write_wing() -> None:
    assert set(ALL_SCHEMAS) == set(SCHEMAS) == set(PLACES) == set(OWN)


def test_every_field_that_is_read_is_one_that_is_written() -> None:
    assert set(TYPES) <= set(FIELDS)


@pytest.mark.parametrize("schema", [name for name, table in SCHEMAS.items() if table])
def test_every_place_is_one_to_which_the_field_is_written(schema: str) -> None:
    table = SCHEMAS[schema]
    assert table is not None
    assert set(PLACES[schema]) == set(TYPES)
    for field, (path, form) in PLACES[schema].items():
        (to,) = [to for to in table.fields[field] if to.path == path]
        if form in {"", "upper"}:
            # The value itself, another case of it, or an integer as text.
            assert "nano" not in to.form, field
        else:
            assert UNITS[form] in to.form, field


@pytest.mark.parametrize("schema", [name for name, table in SCHEMAS.items() if table])
def test_what_an_application_bound_is_looked_for_where_it_is_put(schema: str) -> None:
    table = SCHEMAS[schema]
    assert table is not None
    written = {(*own.path, f"{own.prefix}*") for own in table.own}

    assert written == set(OWN[schema])


def test_a_key_that_is_text_here_and_an_object_there_is_read_as_both() -> None:
    columns = columns_of(["service"], ALL_SCHEMAS)

    assert columns["service"] == "JSON"
    assert """json_extract_string("service", '$."name"')""" in expression_of("service", ALL_SCHEMAS, columns)


def test_the_generated_lines_have_a_zone() -> None:
    assert START.tzinfo is not None
