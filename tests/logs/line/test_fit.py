"""`obs_middleware.logs.line.fit`: how large a line may be, and what goes first."""

from __future__ import annotations

import io
import logging
import logging.config
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Site
from django.http import HttpRequest, HttpResponse
from paths import DOCS

from obs_middleware import bind, logging_config
from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter, LogfmtFormatter, TextFormatter
from obs_middleware.logs.line import limits
from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.line.fit import Cuts, Fit, cut_text, is_pipe
from obs_middleware.logs.line.limits import CORE
from obs_middleware.logs.line.trace import byte_count
from obs_middleware.logs.options import SchemaName
from obs_middleware.logs.schemas import SCHEMAS
from obs_middleware.measure.event import Event, current_event
from obs_middleware.measure.vocabulary import FIELDS
from obs_middleware.testing import CapturedRequests, parse_line

logger = logging.getLogger("site")


def line(**fields: Any) -> dict[str, Any]:
    """Return the line of a record with *fields* as `extra`."""
    return parse_line(JSONFormatter().format(logging.makeLogRecord({"msg": "x", **fields})))


def request_line(formatter: logging.Formatter, **fields: Any) -> str:
    """Return the line of a request with *fields* bound; those of the package are set."""
    event = Event(0.0, "id", "GET", "/")
    event.set_trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", None)
    event.message, event.status = "Request took 0.1234 seconds", 200
    event.set_target("GET", fields.pop("path", "/orders/7/"))
    event.route = "orders/<int:number>/"
    event.line_fields = {name: fields.pop(name) for name in list(fields) if name in FIELDS}
    event.say().bound.update(fields)
    current_event.set(event)
    return formatter.format(logging.LogRecord("root", 20, __file__, 1, event.message, None, None))


# Values


@pytest.mark.parametrize(
    ("name", "limit"),
    [("note", 1_024), ("path", 2_048), ("query", 2_048), ("user_agent", 512), ("referrer", 1_024), ("view", 1_024)],
)
def test_a_text_has_the_limit_of_its_kind(name: str, limit: int) -> None:
    fits, _ = Cleaner().clean_fields({name: "x" * limit})
    cut, _ = Cleaner().clean_fields({name: "x" * (limit + 1)})

    assert fits == {name: "x" * limit}
    assert cut == {name: "x" * (limit - 3) + "...", "truncated": True, "truncated_fields": [name]}


def test_message_and_error_message_may_be_longer() -> None:
    cleaned, _ = Cleaner().clean_fields({"event": "é" * 9_000, "error_message": "x" * 9_000})

    assert [len(cleaned[name]) for name in ("message", "error_message")] == [8_191, 8_191]
    assert cleaned["truncated_fields"] == ["message", "error_message"]


def test_texts_inside_containers_and_bytes_have_the_limit_too() -> None:
    found = line(note={"a": ["x" * 5_000], "b": b"y" * 100_000, "c": bytearray(5_000), "d": memoryview(b"z" * 5_000)})

    assert [len(found["note"]["a"][0]), *(len(found["note"][name]) for name in "bcd")] == [1_024] * 4
    assert found["truncated_fields"] == ["note"]


def test_the_original_size_counts_what_was_cut_of_values() -> None:
    found = line(note="x" * 1_000_000)

    assert 1_000_000 < found["original_bytes"] < 1_001_000


def test_an_event_has_a_hundred_keys() -> None:
    found = line(**{f"key{number}": number for number in range(200)})

    assert len([name for name in found if name.startswith("key")]) + 5 == limits.MAX_KEYS
    assert found["truncated_fields"][-1] == "... 95 more"
    assert set(found) >= {"timestamp", "level", "logger", "message", "event_id"}


def test_what_is_deep_or_wide_says_that_it_was_cut() -> None:
    deep: Any = "bottom"
    for _ in range(10):
        deep = [deep]

    assert line(deep=deep)["truncated_fields"] == ["deep"]
    assert line(wide=range, items=list(range(60)))["truncated_fields"] == ["items"]
    assert "truncated" not in line(items=list(range(50)))


# The line


def test_the_common_line_is_put_together_once() -> None:
    calls = []

    def render(event: dict[str, Any]) -> str:
        calls.append(event)
        return str(event)

    fit = Fit(render, 4_096)

    assert fit({"a": 1}, None) == "{'a': 1}"
    assert len(calls) == 1


def test_the_limit_counts_bytes_and_the_line_feed() -> None:
    fit = Fit(lambda event: str(event["message"]), 2_048)

    assert fit({"message": "x" * 2_047}, None) == "x" * 2_047
    assert len(fit({"message": "x" * 2_048}, None)) < 2_048
    assert byte_count(fit({"message": "é" * 1_024}, None)) < 2_048


def test_a_limit_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="max_bytes is 1000; expected at least 2048"):
        JSONFormatter(max_bytes=1_000)


TRACE = "Traceback (most recent call last):\n" + "".join(
    f'  File "shop/views.py", line {number}, in step_{number}\n    return step(number)\n           ^^^^\n'
    for number in range(400)
)


def test_a_line_shrinks_in_a_fixed_order() -> None:
    """The trace first, then headers and query, then what was bound, the largest first, then long texts."""
    own = {"large": ["y" * 900] * 10, "small": "t1"}
    everything = {"headers": {"x": "h" * 500}, "query": "q" * 500, "stack_trace": TRACE + "ValueError: no good", **own}

    def cut(max_bytes: int, **fields: Any) -> list[str]:
        found = parse_line(request_line(JSONFormatter(max_bytes=max_bytes), **fields))
        assert found["original_bytes"] > max_bytes
        assert found["stack_trace"].endswith("ValueError: no good")
        names: list[str] = found["truncated_fields"]
        return names

    assert cut(17_000, **everything) == ["stack_trace"]
    assert cut(10_200, **everything) == ["stack_trace", "headers", "query"]
    assert cut(9_000, **everything) == ["stack_trace", "headers", "query", "large"]
    assert cut(2_300, **everything, path="/" * 1_500) == ["stack_trace", "headers", "query", "large", "small", "path"]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_what_always_stays_stays(schema: SchemaName) -> None:
    hostile = "\x1f\x1f" * 4_000
    formatter = JSONFormatter(schema=schema, service="shop", version=hostile, max_bytes=2_048)

    text = request_line(
        formatter, path="/" + hostile, user_agent=hostile, stack_trace=TRACE, **{f"key{n}": hostile for n in range(90)}
    )

    assert len(text.encode()) < 2_048
    parse_line(text)
    values = ("Request took 0.", "GET", "4bf92f3577b34da6a3ce929d0e0e4736", '"id"', "200", "ok", "orders/<int:number>/")
    assert all(value[:13] in text for value in values)
    assert "truncated" in text
    assert "original_bytes" in text
    assert "/\\u001f" in text


def test_the_core_is_what_the_documentation_says() -> None:
    assert set(CORE) <= set(FIELDS)
    text = (DOCS / "reference" / "limits.md").read_text()
    assert all(f"`{name}`" in text for name in CORE)


def test_the_documentation_has_the_limits_of_the_code() -> None:
    text = (DOCS / "reference" / "limits.md").read_text()
    rows = re.findall(r"^\| (.+?) \| (.+?) \|", text, re.MULTILINE)
    documented = {what: re.findall(r"[\d,]+", most) for what, most in rows}

    assert documented["a line"] == [f"{limits.MAX_BYTES:,}"]
    assert documented["a line, if stdout or stderr is a pipe"] == [f"{limits.MAX_BYTES_PIPE:,}"]
    assert documented["a text"] == [f"{limits.MAX_TEXT:,}"]
    for name, most in limits.MAX_TEXT_OF.items():
        assert [f"{most:,}"] in [numbers for what, numbers in documented.items() if f"`{name}`" in what], name
    traces = [f"{size:,}" for size in (limits.MAX_TRACE_BYTES, limits.MAX_TRACE_BYTES_PIPE, limits.MAX_BYTES)]
    assert documented["`stack_trace`, `stack_info`"] == traces
    assert documented["fields of an event"] == [str(limits.MAX_KEYS)]
    assert documented["a name"] == [str(limits.MAX_KEY)]
    assert documented["levels inside a field"] == [str(limits.MAX_DEPTH)]
    assert documented["items of a list, keys of a mapping"] == [str(limits.MAX_ITEMS)]
    assert documented["values inside all lists and mappings of an event"] == [f"{limits.MAX_VALUES:,}"]
    assert f"{limits.LEAST_BYTES:,} or more" in text
    assert f"{limits.MAX_ROOM:,} characters of all texts of a line together" in text


def test_values_of_a_processor_that_are_no_text_are_cut_too() -> None:
    def spoil(_: Any, __: str, event_dict: Any) -> Any:
        return {**event_dict, "request_id": {"a": "x" * 1_000, "b": ["y" * 1_000]}, "timestamp": ["z" * 1_000] * 3}

    text = request_line(JSONFormatter(max_bytes=2_048, processors=[spoil]))

    assert len(text) < 2_048
    assert parse_line(text)["request_id"].startswith("{'a': 'xxx")


@pytest.mark.parametrize("formatter", [JSONFormatter, LogfmtFormatter, TextFormatter])
def test_every_format_for_programs_is_limited(formatter: Any) -> None:
    text = request_line(formatter(max_bytes=4_096), **{f"key{number}": "é\n" * 500 for number in range(50)})

    assert len(text.encode()) < 4_096
    assert "\n" not in text


def test_people_see_everything() -> None:
    text = ConsoleFormatter().format(logging.makeLogRecord({"msg": "x" * 20_000, "note": "y" * 20_000}))

    assert text.count("x") >= 20_000
    assert text.count("y") >= 20_000


def test_secrets_are_hidden_before_anything_is_cut() -> None:
    found = line(**{"password" + "x" * 100: "s3cret" * 1_000, "note": {"token": "s3cret", "text": "x" * 5_000}})

    assert "s3cret" not in str(found)
    assert "s3cret" not in request_line(JSONFormatter(max_bytes=2_048), password="s3cret" * 9_000)


def test_a_request_that_logs_too_much_is_one_line_with_its_facts(site: Site, lines: Any) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter())
    logging.getLogger().addHandler(handler)

    def view(request: HttpRequest) -> HttpResponse:
        bind(rows=[{"name": "x" * 1_000} for _ in range(50)], tenant="t1")
        return HttpResponse("done")

    site.get(view)

    found = parse_line(stream.getvalue())
    assert len(stream.getvalue().encode()) <= 16_000
    assert (found["status"], found["tenant"], found["truncated_fields"]) == (200, "t1", ["rows"])
    assert found["original_bytes"] > 50_000


# Where the lines go


def test_a_pipe_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as pipe, (tmp_path / "file").open("w") as file:
        seen = {}
        for name, stream in {"pipe": pipe, "file": file, "buffer": io.StringIO(), "none": None}.items():
            monkeypatch.setattr("sys.stdout", stream)
            seen[name] = is_pipe("stdout")
        monkeypatch.undo()

    assert seen == {"pipe": True, "file": False, "buffer": False, "none": False}


LARGEST = """
import logging, logging.config, sys
from obs_middleware import logging_config
logging.config.dictConfig(logging_config({options}))
logging.info("x" * 8000, extra={{f"key{{n}}": "y" * 1000 for n in range(50)}})
try:
    exec("def f(n): return f(n - 1) + 1 if n else 1 / 0\\ndef g(n): return f(20) if n == 0 else g(n - 1) + 1\\ng(150)")
except ZeroDivisionError:
    logging.exception("failed")
"""


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ("", 4_096),
        ("stream='stderr'", 16_000),
        ("schema='ecs'", 4_096),
        ("format='logfmt'", 4_096),
        ("nonblocking=True", 4_096),
    ],
)
def test_a_line_into_a_pipe_is_as_short_as_a_pipe_keeps_whole(options: str, most: int, tmp_path: Path) -> None:
    """Standard output is a pipe here, standard error a file."""
    with (tmp_path / "err").open("w+") as err:
        result = subprocess.run(
            [sys.executable, "-c", LARGEST.format(options=options)],
            stdout=subprocess.PIPE,
            stderr=err,
            check=True,
            timeout=60,
            env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        )
        err.seek(0)
        lines = (result.stdout.decode() or err.read()).splitlines(keepends=True)

    assert len(lines) == 2
    assert most // 3 < len(lines[0].encode()) <= most
    assert len(lines[1].encode()) <= most
    if not options:
        trace = parse_line(lines[1])["stack_trace"]
        assert len(trace) <= 2_000
        assert trace.startswith("Traceback (most recent call last):\n")
        assert trace.endswith("ZeroDivisionError: division by zero")


def test_a_file_keeps_long_lines_although_standard_output_is_a_pipe(tmp_path: Path) -> None:
    assert "stream" not in logging_config(file=tmp_path / "app.json")["formatters"]["obs"]
    assert logging_config(stream="stderr")["formatters"]["obs"]["stream"] == "stderr"


def test_a_limit_of_ones_own_goes_into_the_dict() -> None:
    config = logging_config(stream="stdout")["formatters"]["obs"] | {"max_bytes": 60_000}
    del config["()"]

    assert (
        len(JSONFormatter(**config).format(logging.makeLogRecord({"msg": "x" * 8_000, "a": ["y" * 999] * 40}))) > 40_000
    )


# Cutting


def test_a_text_is_cut_between_characters() -> None:
    assert cut_text("漢字漢字漢字", 5) == "漢字..."
    assert cut_text("漢字", 5) == "漢字"


def test_many_names_are_counted() -> None:
    cuts = Cuts()
    for number in range(12):
        cuts.add(f"key{number}")
    event: dict[str, Any] = {}
    cuts.mark(event)

    assert event["truncated_fields"] == [*(f"key{number}" for number in range(10)), "... 2 more"]


@pytest.mark.parametrize("unseen", ["\u2028", "\x9b", "\u202e"], ids=ascii)
def test_a_text_that_must_shrink_to_its_core_does(unseen: str, lines: CapturedRequests) -> None:
    formatter = TextFormatter(max_bytes=2_048)
    record = logging.makeLogRecord({"msg": unseen * 4_000, "name": unseen * 3_000})

    text = formatter.format(record)

    assert len(text.encode()) < 2_048
    assert lines.logs == []  # no failure is reported


@pytest.mark.parametrize("schema", ["flat", "ecs", "otel", "datadog", "gcp"])
def test_a_long_name_of_a_logger_is_cut_in_every_schema(schema: SchemaName) -> None:
    record = logging.makeLogRecord({"msg": "x", "name": "n" * 9_000})

    assert len(JSONFormatter(schema=schema).format(record)) < 3_000
