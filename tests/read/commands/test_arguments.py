"""Arguments that several commands share."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from console import Run, write
from loglines import FORMATS, Event, events

from obs_middleware.__main__ import main


@pytest.mark.parametrize("field", ["kind", "line", "is_request", "text", "seed", "j", "keys", 'a"b', "x'y"])
def test_a_field_may_have_any_name(field: str, run: Run, tmp_path: Path, written: list[Event]) -> None:
    lines = [FORMATS["flat"](event | {field: "here"}) for event in written]
    log = write(tmp_path / "a.log", [*lines, *(FORMATS["logfmt"](event) for event in written)])

    code, out, err = run(log, "--by", field, "--format", "csv")

    assert (code, err) == (0, "")
    assert {row[field] for row in csv.DictReader(io.StringIO(out))} == {"here", ""}


def test_by_without_a_field_gives_a_message(run: Run, log: Path) -> None:
    assert run(log, "--by", ",")[0] == 2


@pytest.mark.parametrize(
    ("by", "fields"), [("Status", "status"), ("METHOD,method,Route", "method,route"), ("User,user_id", "user_id")]
)
def test_the_fields_of_the_package_are_known_in_any_letter_case(by: str, fields: str, run: Run, log: Path) -> None:
    assert run(log, "--by", by) == run(log, "--by", fields)


def test_a_filter_knows_fields_in_any_letter_case(run: Run, log: Path) -> None:
    assert run("grep", "Path = '/' AND STATUS IS NOT NULL", log) == run(
        "grep", "path = '/' and status is not null", log
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["stats", "--by", "tenant,Tenant"],
        ["stats", "--by", "tenant", "--where", "Tenant = 't1'"],
        ["stats", "--where", "tenant = 't1' or Tenant = 't1'"],
        ["grep", "tenant = 't1' or Tenant = 't1'"],
        ["stats", "--by", "Body,Resource"],
    ],
)
def test_two_spellings_of_a_field_are_an_error_that_names_it(arguments: list[str], run: Run, tmp_path: Path) -> None:
    """The last one collides with the keys of a schema."""
    log = write(tmp_path / "a.log", [FORMATS[name](events(1)[0] | {"Body": "x"}) for name in ("flat", "otel")])

    code, out, err = run(*arguments, log)

    assert (code, out) == (2, "")
    assert "Tenant" in err or "Body" in err
    assert "only in the case of letters" in err


@pytest.mark.parametrize("name", ["elastic-template", "tail"])
@pytest.mark.parametrize("value", [[], ["http://127.0.0.1:9200"]])
def test_a_command_that_asks_no_search_engine_refuses_one(
    name: str, value: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--opensearch", *value]) == 2

    assert "--opensearch: this command" in capsys.readouterr().err
