"""Arguments that several commands share."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from console import Run, write
from loglines import FORMATS, Event, events
from tables import quantile

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


@pytest.mark.parametrize("text", ["", "50,", "0", "100", "-5", "150", "nan", "many", "p"])
@pytest.mark.parametrize("name", ["stats", "time"])
def test_a_percentile_is_between_0_and_100(name: str, text: str, run: Run, log: Path) -> None:
    code, out, err = run(name, log, f"--p={text}")

    assert (code, out) == (2, "")
    assert "use numbers above 0 and below 100" in err


@pytest.mark.parametrize("name", ["stats", "time"])
@pytest.mark.parametrize(("text", "shown"), [("50", "50"), ("p75, 99.90", "75 99.9"), ("99.999,1,1.0", "99.999 1")])
def test_chosen_percentiles_are_exact(
    name: str, text: str, shown: str, run: Run, log: Path, written: list[Event]
) -> None:
    """One group and one slice contain all lines."""
    everything = {"stats": ["--by", "service"], "time": ["--every", "1d"]}[name]
    took = [event["duration_seconds"] for event in written]
    expected = {f"p{one}": quantile(took, float(one) / 100) for one in shown.split()}

    [row] = csv.DictReader(io.StringIO(run(name, log, "--p", text, *everything, "--format", "csv")[1]))
    data = json.loads(run(name, log, "--p", text, *everything, "--format", "json")[1])
    table = run(name, log, "--p", text, *everything)[1]

    found = {key.removesuffix("_seconds"): float(value) for key, value in row.items() if re.fullmatch(r"p.*", key)}
    assert found == pytest.approx(expected)
    one = data["groups"]["rows"][0] if name == "stats" else data["slices"][0]
    found = {name: one["durations"]["p999" if name == "p99.9" else name] for name in expected}
    assert found == pytest.approx(expected)
    assert re.search("  ".join(rf"{name} [\d.]+ [mµ]?s" for name in [*expected, "max"]), table)


def test_the_row_of_hidden_groups_has_chosen_percentiles(run: Run, log: Path, written: list[Event]) -> None:
    rows = csv.DictReader(io.StringIO(run(log, "--by", "route", "--limit", "1", "--p", "75", "--format", "csv")[1]))
    first, rest = rows

    took = [event["duration_seconds"] for event in written if event["route"] != first["route"]]
    assert float(rest["p75_seconds"]) == pytest.approx(quantile(took, 0.75))
