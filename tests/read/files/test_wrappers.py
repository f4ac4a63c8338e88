"""The lines inside the records of other programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from loglines import FORMATS, events

from obs_middleware.read.files.wrappers import line_inside, records_in

(EVENT,) = events(1)
LINE = FORMATS["flat"](EVENT)
BARE = "Request took 0.0040 seconds"
AT = "2026-11-02T10:00:00.250000+00:00"


def micro(text: str) -> dict[str, Any]:
    return {"MESSAGE": text, "__REALTIME_TIMESTAMP": "1793613600250000", "PRIORITY": "6"}


AROUND_TEXT: dict[str, Callable[[str], dict[str, Any]]] = {
    "journalctl": micro,
    "google": lambda text: {
        "textPayload": text,
        "timestamp": "2026-11-02T10:00:00.25Z",
        "logName": "projects/a/logs/b",
    },
    "vector": lambda text: {"message": text, "timestamp": "2026-11-02T10:00:00.250Z", "source_type": "file"},
    "filebeat": lambda text: {"message": text, "@timestamp": "2026-11-02T10:00:00.250Z", "agent": {"type": "filebeat"}},
    "fluent bit": lambda text: {"log": text, "date": 1793613600.25},
    "cloudwatch": lambda text: {"message": text, "timestamp": 1793613600250, "ingestionTime": 1793613600900},
    "insights": lambda text: {"@message": text, "@timestamp": "2026-11-02 10:00:00.250", "@ptr": "C1"},
    "loki": lambda text: {"line": text, "timestamp": "2026-11-02T11:00:00.25+01:00", "labels": {"app": "shop"}},
    "docker": lambda text: {"log": f"{text}\n", "time": "2026-11-02T10:00:00.250000321Z", "stream": "stdout"},
}


@pytest.mark.parametrize("program", AROUND_TEXT)
def test_a_line_with_a_time_is_returned_unchanged(program: str) -> None:
    for line in (LINE, f"2026-11-02T09:00:00.000000Z INFO root {BARE}"):
        assert line_inside(AROUND_TEXT[program](line)) == line


@pytest.mark.parametrize("program", AROUND_TEXT)
def test_a_line_without_a_time_gets_that_of_the_record(program: str) -> None:
    assert line_inside(AROUND_TEXT[program](BARE)) == f"{AT} {BARE}"
    found = json.loads(line_inside(AROUND_TEXT[program](json.dumps({"message": BARE, "level": "info"}))))
    assert found == {"timestamp": "2026-11-02T10:00:00.250000Z", "message": BARE, "level": "info"}


@pytest.mark.parametrize("program", AROUND_TEXT)
def test_a_record_in_a_record_is_opened(program: str) -> None:
    inner = micro(LINE)

    assert line_inside(AROUND_TEXT[program](json.dumps(inner))) == LINE
    assert json.loads(line_inside({"_index": "logs", "_source": AROUND_TEXT[program](LINE)})) == json.loads(LINE)


def test_a_message_in_bytes_is_decoded() -> None:
    assert line_inside(micro(list(b"\xff " + BARE.encode()))) == f"{AT} \ufffd {BARE}"  # type: ignore[arg-type]
    assert line_inside(micro([1000, "a", None])) == f"{AT} "  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "record",
    [
        {"level": "info", "message": BARE, "log": LINE, "stream": "x"},
        {"event_id": "1", "MESSAGE": LINE, "_BOOT_ID": "1"},
        {"message": LINE},  # no sign of a program that wraps lines
        {"user_agent": LINE, "source_type": "file"},
        {"timestamp": "2026-11-02T10:00:00Z", "severity_text": "INFO", "body": BARE, "attributes": {"type": 1}},
        {"MESSAGE": None, "_BOOT_ID": "1"},
    ],
)
def test_any_other_record_is_a_line_itself(record: dict[str, Any]) -> None:
    text = json.dumps(record)

    assert line_inside(record, text) == text


@pytest.mark.parametrize("when", ["yesterday", "1e999", "-", True, {}, 10**400, "9" * 300])
def test_a_damaged_time_is_none(when: object) -> None:
    record = {"MESSAGE": BARE, "_BOOT_ID": "1", "__REALTIME_TIMESTAMP": when}

    assert line_inside(record) == BARE


def test_what_google_moves_out_of_the_payload_is_put_back() -> None:
    line = json.loads(FORMATS["gcp"](EVENT))
    moved = {
        "timestamp": line.pop("time"),
        "severity": line.pop("severity"),
        "httpRequest": line.pop("httpRequest"),
        "labels": line.pop("logging.googleapis.com/labels"),
    }

    found = json.loads(line_inside({"insertId": "1", "jsonPayload": line, **moved}))

    assert found == json.loads(FORMATS["gcp"](EVENT))


def test_attributes_of_datadog_are_put_back() -> None:
    line = json.loads(FORMATS["datadog"](EVENT))
    when = line.pop("timestamp")
    kept = {key: line.pop(key) for key in ("status", "message", "service") if key in line}
    archive = {"date": when, "tags": [], **kept, "attributes": line}
    listed = {"id": "1", "type": "log", "attributes": {"timestamp": when, "tags": [], **kept, "attributes": line}}

    for record in (archive, listed):
        assert json.loads(line_inside(record)) == json.loads(FORMATS["datadog"](EVENT))


@pytest.mark.parametrize(
    "answer",
    [
        [{"a": 1}, {"a": 2}],
        {"events": [{"a": 1}, {"a": 2}], "searchedLogStreams": []},
        {"took": 1, "hits": {"total": 2, "hits": [{"a": 1}, {"a": 2}]}},
        {"data": [{"a": 1}, {"a": 2}]},
        {"results": [[{"field": "a", "value": 1}], [{"field": "a", "value": 2}]]},
    ],
)
def test_an_answer_has_records(answer: object) -> None:
    assert list(records_in(answer)) == [{"a": 1}, {"a": 2}]


def test_streams_of_loki_have_lines() -> None:
    answer = {"data": {"result": [{"stream": {"app": "shop"}, "values": [["1793613600250000000", BARE]]}]}}

    assert [line_inside(record) for record in records_in(answer)] == [f"{AT} {BARE}"]


@pytest.mark.parametrize(
    "strange",
    [
        [],
        [[]],
        [1, None, "x"],
        {"events": []},
        {"stream": {}, "values": [1, [], {}]},
        {"hits": 1},
        {"data": [[1]]},
        1.5,
    ],
)
def test_a_strange_answer_does_no_harm(strange: object) -> None:
    for record in records_in(strange):
        assert isinstance(line_inside(record), str)


def test_a_line_with_a_list_is_no_answer() -> None:
    line = {"level": "info", "events": [{"a": 1}]}

    assert list(records_in(line)) == [line]
