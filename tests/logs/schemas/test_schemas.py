"""`obs_middleware.logs.schemas`: what every schema promises, and its page in the documentation."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import get_args

import pytest
from django.test import override_settings
from paths import DOCS
from translated import TABLES, paths, places, translate

from obs_middleware import logging_config
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.options import SchemaName
from obs_middleware.logs.schemas import SCHEMAS, Schema, To
from obs_middleware.measure.vocabulary import FIELDS
from obs_middleware.testing import parse_line


def test_every_field_has_its_place_in_every_schema(schema: str) -> None:
    missing = set(FIELDS) - set(TABLES[schema].fields)
    unknown = set(TABLES[schema].fields) - set(FIELDS)

    assert not missing, f"the table in obs_middleware/logs/schemas/{schema}.py has no place for: {missing}"
    assert not unknown, f"the table in obs_middleware/logs/schemas/{schema}.py has fields unknown to FIELDS: {unknown}"


def test_the_type_of_the_names_has_every_schema() -> None:
    assert get_args(SchemaName) == tuple(SCHEMAS)


def test_logging_config_and_formatter_know_the_schemas() -> None:
    for name in get_args(SchemaName):
        assert logging_config(schema=name)["formatters"]["obs"]["schema"] == name
        JSONFormatter(schema=name)
    with pytest.raises(ValueError, match="expected one of flat, ecs, otel, datadog, gcp"):
        JSONFormatter(schema="ECS")  # type: ignore[arg-type]  # the mistake under test


def test_no_place_is_inside_another_and_none_is_where_the_applications_fields_go(schema: str) -> None:
    table = TABLES[schema]
    used = [path for path in places(table) if path[-1] != "*"]
    dotted = [".".join(path) for path in used if path[0] != "log.level"]

    assert not [(a, b) for a in dotted for b in dotted if b.startswith(f"{a}.")]
    for own in table.own:
        inside = [path for path in used if path[: len(own.path)] == own.path]
        if own.prefix:
            assert not [path for path in inside if path[len(own.path)].startswith(own.prefix)]
        else:
            # Labels of our own have the names of fields, which no field of an application can have.
            assert {path[-1] for path in inside} <= set(FIELDS)


def test_one_place_has_one_field_unless_it_is_made_of_several(schema: str) -> None:
    seen: dict[tuple[str, ...], To] = {}
    for fields in TABLES[schema].fields.values():
        for to in fields:
            assert seen.setdefault(to.path, to).convert is to.convert, to.path


def test_a_route_that_did_not_match_is_null_where_the_schema_allows_null() -> None:
    assert translate("ecs", route=None)["http"] == {"route": None}
    assert translate("datadog", route=None)["http"] == {"route": None}
    assert "http.route" not in translate("otel", route=None)["attributes"]
    assert "logging.googleapis.com/labels" not in translate("gcp", route=None)
    assert translate("gcp", route="")["logging.googleapis.com/labels"] == {"route": ""}


def test_the_settings_are_read_where_tests_change_them(schema: SchemaName) -> None:
    formatter = JSONFormatter(schema=schema)
    record = logging.makeLogRecord({"msg": "x", "nickname": "y"})
    with override_settings(OBS_MIDDLEWARE={"REDACT": ["nickname"]}):
        assert "[redacted]" in formatter.format(record)
    assert "[redacted]" not in formatter.format(record)


# The documentation


def cell(path: tuple[str, ...]) -> str:
    """Return *path* as jq writes it."""
    return ".".join(key if re.fullmatch(r"@?\w+", key) or key == "*" else f'"{key}"' for key in path)


def documented(name: str) -> list[list[str]]:
    text = (DOCS / "reference" / "schemas.md").read_text()
    (section,) = re.findall(rf"^## `{name}`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    table = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return [[part.strip("| ") for part in row] for row in table]


def expected_rows(table: Schema) -> Iterator[list[str]]:
    for name, fields in table.fields.items():
        for to in fields:
            where = f"`{cell(to.path)}`" if to.path[-1] != "*" else f"`{cell(to.path[:-1])}`"
            yield [f"`{name}`", where, to.form or FIELDS[name].type]


def test_the_tables_in_the_documentation_are_those_of_the_code(schema: str) -> None:
    assert documented(schema) == list(expected_rows(TABLES[schema]))


def test_the_lines_in_the_documentation_are_such_lines(schema: str) -> None:
    """Every path of the line that is shown has a place in the table, or is the application's."""
    text = (DOCS / "reference" / "schemas.md").read_text()
    (shown,) = re.findall(rf"^\*\*{schema}\*\*\n\n```json\n(.+)\n```$", text, re.MULTILINE)
    table = TABLES[schema]
    known = set(places(table)) | {(key,) for key in table.first}
    for path, _ in paths(parse_line(shown)):
        own = any(path[: len(one.path)] == one.path and path[len(one.path)].startswith(one.prefix) for one in table.own)
        assert own or path in known or path[:-1] in known, path
