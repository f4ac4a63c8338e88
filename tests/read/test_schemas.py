"""The reader's table of schemas agrees with the wing that writes the lines."""

from __future__ import annotations

import pytest
from loglines import FORMATS, START, events

from obs_middleware.logs.schemas import SCHEMAS as WRITTEN
from obs_middleware.logs.schemas.convert import coarse
from obs_middleware.measure.policy import FAILED
from obs_middleware.measure.vocabulary import FIELDS
from obs_middleware.read.answers import FAILED_OUTCOMES
from obs_middleware.read.schemas import LISTS, SCHEMAS, TYPES

UNITS = {"ns": "nanoseconds", "latency": "seconds: ", "url": "URL", "upper": "", "trace": "traces"}
TRANSLATED = [name for name, table in WRITTEN.items() if table]


def test_the_schemas_are_those_of_the_write_wing() -> None:
    assert set(SCHEMAS) == set(WRITTEN)


def test_every_field_that_is_read_is_one_that_is_written() -> None:
    assert set(TYPES) <= set(FIELDS)


def test_what_counts_as_a_failure_is_what_is_logged_as_an_error() -> None:
    assert set(FAILED_OUTCOMES) == FAILED
    # Nobody knows how a stream that was never closed would have ended.
    assert {outcome for outcome in FAILED if coarse(outcome, {}) == "failure"} == FAILED - {"lost"}


def test_the_lists_are_those_of_the_write_wing() -> None:
    assert {name for name in TYPES if FIELDS[name].type == "array"} == LISTS


@pytest.mark.parametrize("schema", TRANSLATED)
def test_every_place_is_one_to_which_the_field_is_written(schema: str) -> None:
    table = WRITTEN[schema]
    assert table is not None
    assert set(SCHEMAS[schema].places) == set(TYPES)
    for field, (path, form) in (*SCHEMAS[schema].places.items(), *SCHEMAS[schema].second.items()):
        (to,) = [to for to in table.fields[field] if to.path == path]
        if form in {"", "upper"}:
            # The value itself, another case of it, or an integer as text.
            assert "nano" not in to.form, field
        else:
            assert UNITS[form] in to.form, field


@pytest.mark.parametrize("schema", TRANSLATED)
def test_what_an_application_bound_is_looked_for_where_it_is_put(schema: str) -> None:
    table = WRITTEN[schema]
    assert table is not None
    written = {(*own.path, f"{own.prefix}*") for own in table.own}

    assert written == set(SCHEMAS[schema].own)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_written_line_has_the_opening_and_a_mark_of_its_schema(schema: str) -> None:
    event = events(1)[0]
    line = FORMATS[schema](event)
    before, behind = SCHEMAS[schema].opening

    assert line.startswith(f"{before}{event['timestamp']}{behind}")
    assert any(mark in line.encode() for mark in SCHEMAS[schema].marks)


def test_the_generated_lines_have_a_zone() -> None:
    assert START.tzinfo is not None
