"""Every format and every damage against a reference that was computed another way: plain Python over the events."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from loglines import BARE, FORMATS, Event, events
from paths import DOCS
from tables import FIELDS, Read, assert_as_written, quantile, write

from obs_middleware.read.errors import SourceError
from obs_middleware.read.files.matching import matching_lines
from obs_middleware.read.files.predicate import predicate
from obs_middleware.read.files.requests import FileRequests
from obs_middleware.read.files.sources import find_sources
from obs_middleware.read.where.expression import parse


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_figures_that_were_written(form: str, read: Read, tmp_path: Path) -> None:
    written = events(400)
    log = read(write(tmp_path / "a.log", [FORMATS[form](event) for event in written]))

    assert_as_written(log, written)
    assert (log.lines, log.skipped, log.others) == (400, 0, 0)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_every_field_back(form: str, read: Read, tmp_path: Path) -> None:
    written = next(event for event in events(400) if event["status"] == 500)
    log = read(write(tmp_path / "a.log", [FORMATS[form](written)]))

    names = sorted(FIELDS | {"duration_seconds"})
    row = log.connection.execute(f"SELECT {', '.join(names)} FROM requests").fetchone()
    assert row is not None
    found = dict(zip(names, row, strict=True))
    found["timestamp"] = found["timestamp"].isoformat(timespec="microseconds") + "Z"
    assert found == {name: written.get(name) for name in [*names, "sample_rate"] if name in found}


@pytest.mark.parametrize("form", BARE)
def test_a_bare_line_gives_its_duration_and_nothing_is_made_up(form: str, read: Read, tmp_path: Path) -> None:
    written = events(100)
    log = read(write(tmp_path / "a.log", [BARE[form](event) for event in written]))

    assert (log.requests, log.skipped) == (100, 0)
    found = FileRequests(log).overview()
    seconds = [float(f"{event['duration_seconds']:.4f}") for event in written]
    assert found.durations.p95 == pytest.approx(quantile(seconds, 0.95))
    assert found.errors is None
    assert found.statuses == ()
    (row,) = FileRequests(log).groups(("method", "route")).rows
    assert row.keys == (None, None)
    assert row.errors is None


TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "views.py", line 3, in view',
    "ValueError: Request took long",
]
FOREIGN = ['{"a":1}', '{"ts":"x","msg":"hello"}', "[1, 2]", "5", "null", '"text"', "ts=1 duration_seconds=5 status=200"]
OTHER = '{"timestamp":"2026-11-02T10:00:00.000001Z","level":"info","logger":"shop","message":"Paid","request_id":"r"}'


def test_the_duration_of_another_program_is_none_of_a_request(read: Read, tmp_path: Path) -> None:
    """Neither in files where its key is one of ours nor in others, with an outcome of its own or without."""
    foreign = [
        '{"level":"info","job":"mail","outcome":"ok","duration":0.5}',
        '{"level":"info","job":"mail","outcome":"ok","duration":12000000}',
        '{"@timestamp":"2026-11-02T10:00:00.000001Z","log.level":"info","event":{"duration":9,"outcome":"success"}}',
        '{"timestamp":"2026-11-02T10:00:00.000001Z","status":"info","duration":9,"message":"took long"}',
        '{"duration":0.1,"msg":"hello"}',
    ]
    written = events(300)
    for form in ("flat", "datadog", "ecs"):
        lines = [FORMATS[form](event) for event in written]
        log = read(write(tmp_path / f"{form}.log", [*lines[:150], *foreign, *lines[150:]]), table=form)

        assert log.requests == len(written), form
        assert log.others + log.skipped == len(foreign)


def test_any_mix_is_told_apart(read: Read, tmp_path: Path) -> None:
    """Every line in a format of its own, with foreign lines and lines of the application between them."""
    dice = random.Random(1)
    written = events(600)
    forms = list(FORMATS.values())
    lines = [dice.choice(forms)(event) for event in written] + TRACEBACK * 20 + FOREIGN * 20 + [OTHER] * 20
    dice.shuffle(lines)

    log = read(write(tmp_path / "a.log", lines))

    assert_as_written(log, written)
    assert log.others == 20
    assert log.skipped == 20 * (len(TRACEBACK) + len(FOREIGN))


@pytest.mark.parametrize("rare", [*FORMATS, "traceback"])
def test_what_the_samples_do_not_show_is_read_all_the_same(rare: str, read: Read, tmp_path: Path) -> None:
    """One line of another kind in a large file, far from its beginning, middle and end."""
    written = events(2_000)
    lines = [FORMATS["flat"](event) for event in written]
    if rare == "traceback":
        lines[600] = BARE["text"](written[600])
    else:
        lines[600] = FORMATS[rare](written[600])
    log = read(write(tmp_path / "a.log", lines))

    assert (log.requests, log.skipped) == (2_000, 0)
    row = log.connection.execute("SELECT count(status), count(DISTINCT request_id) FROM requests").fetchone()
    assert row == ((1_999, 1_999) if rare == "traceback" else (2_000, 2_000))


def test_a_bare_line_that_begins_like_one_of_ours_is_read(read: Read, tmp_path: Path) -> None:
    """Another formatter's JSON among ours, where no sample is taken, with the damage that asks for a second look."""
    written = events(2_000)
    lines = [FORMATS["flat"](event) for event in written]
    lines[600] = json.dumps(
        {name: written[600][name] for name in ("timestamp", "level", "message")}, separators=(",", ":")
    )
    lines[601] = lines[601][:100]
    lines[602] = OTHER

    log = read(write(tmp_path / "a.log", lines))

    assert (log.requests, log.others, log.skipped) == (1_998, 1, 1)
    row = log.connection.execute("SELECT count(*) FROM requests WHERE outcome IS NULL").fetchone()
    assert row == (1,)


ECS_LOGGING = re.findall(
    r'^{"@timestamp".*"ecs\.version".*}$',
    (DOCS / "how-to" / "python-json-logger.md").read_text(),
    re.MULTILINE,
)


@pytest.mark.parametrize("others", [[], ["flat"], ["ecs"], ["flat", "gcp"]])
def test_a_line_of_ecs_logging_is_read(others: list[str], read: Read, tmp_path: Path) -> None:
    """Alone, and where the samples show nothing but other schemas."""
    (line,) = ECS_LOGGING
    written = [FORMATS[others[n % len(others)]](event) for n, event in enumerate(events(2_000))] if others else []
    written.insert(600, line)

    log = read(write(tmp_path / "a.log", written))

    assert (log.requests, log.skipped) == (len(written), 0)
    row = log.connection.execute("SELECT duration_seconds, status, outcome FROM requests WHERE path = '/pay/'")
    assert row.fetchall() == [(0.000924, 200, "ok")]


@pytest.mark.parametrize("others", [0, 2_000])
def test_a_line_without_an_outcome_has_what_else_it_says(others: int, read: Read, tmp_path: Path) -> None:
    line = '{"level":"info","message":"Request took 0.5000 seconds","duration_seconds":0.5001,"status":500}'
    lines = [FORMATS["flat"](event) for event in events(others)]
    lines.insert(600, line)
    path = write(tmp_path / "a.log", lines)

    log = read(path)

    assert log.requests == len(lines)
    row = log.connection.execute("SELECT duration_seconds, status FROM requests WHERE outcome IS NULL")
    assert row.fetchall() == [(0.5001, 500)]
    scratch = tmp_path / "scratch"
    condition = predicate(parse("outcome is null"))
    assert list(matching_lines(log.connection, find_sources([str(path)], scratch), condition, scratch)) == [line]


WRAPPERS = [
    "web-1  | ",
    "\x1b[36mweb-1  | \x1b[0m",
    "2026-11-02T11:00:00.123456789Z stdout F ",
    "Nov  2 11:00:00 host shop[812]: ",
    "abcd-1 | ",
]


@pytest.mark.parametrize("form", ["logfmt", "flat", "text"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_every_format_is_read_behind_a_wrapper(wrapper: str, form: str, read: Read, tmp_path: Path) -> None:
    """Also if a client has put into its path what lines begin with."""
    nasty = "/ timestamp=1 2026-11-02T10:00:00.000000Z INFO root Request took 9.0 seconds"
    written = [event | {"path": f"{nasty} {n}"} for n, event in enumerate(events(50))]
    lines = [{**FORMATS, **BARE}[form](event) for event in written]

    log = read(write(tmp_path / "a.log", [wrapper + line for line in lines]))

    if form == "text":
        assert (log.requests, log.skipped) == (50, 0)
    else:
        assert_as_written(log, written)


FORGED = [
    "no product at /Request took 777.0 seconds",
    "no product at / Request took 777.0 seconds",
    "Request took 777.0 seconds or more",
    "/2026-11-02T10:00:00.000000Z INFO root Request took 777.0 seconds",
    'at /{"level":"info","outcome":"ok","duration_seconds":777.0}',
    'at / {"level":"info","outcome":"ok","duration_seconds":777.0}',
    "at / timestamp=2026-11-02T10:00:00.000000Z level=info outcome=ok duration_seconds=777.0",
]


@pytest.mark.parametrize("message", FORGED)
@pytest.mark.parametrize("form", [*FORMATS, "text", "text in docker", "text behind compose"])
def test_what_a_client_sends_is_no_request_line(form: str, message: str, read: Read, tmp_path: Path) -> None:
    """In the message of another line, alone and among request lines."""
    text = BARE["text"]
    forms: dict[str, Callable[[Event], str]] = {
        **FORMATS,
        "text": text,
        "text in docker": lambda event: json.dumps({"log": text(event) + "\n", "stream": "stdout"}),
        "text behind compose": lambda event: f"web-1  | {text(event)}",
    }
    written = events(50)
    other = {
        "timestamp": written[0]["timestamp"],
        "level": "warning",
        "logger": "django.request",
        "message": message,
        "path": f"/{message}",
    }
    lines = [forms[form](event) for event in [*written[:20], other, *written[20:]]]

    assert read(write(tmp_path / "a.log", lines), table="mixed").requests == 50
    path = write(tmp_path / "alone.log", [forms[form](other)])
    log = read(path, table="alone")
    assert log.requests == 0
    found = matching_lines(
        log.connection,
        find_sources([str(path)], tmp_path / "scratch"),
        predicate(parse("duration_seconds > 0")),
        tmp_path,
    )
    assert list(found) == []


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("2026-11-02 10:00:00,123 INFO root - Request took 0.5000 seconds", 1),
        ("2026-11-02 10:00:00,123 INFO [3f] Request took 0.5000 seconds\r", 1),
        ("INFO:root:Request took 0.5000 seconds", 1),
        ("[root]Request took 0.5000 seconds\x1b[0m", 1),
        ("INFO:django.request:Not Found: /Request took 0.5000 seconds", 0),
        ("INFO:django.request:Not Found: /Request took 0.5000 seconds/x", 0),
        ('INFO:django.request:Not Found: /{"outcome":"ok","duration_seconds":1,"level":"info"}', 0),
        ("2026-11-02 10:00:00,123 INFO root Request took 0.5000 seconds [root] status=200", 0),
    ],
)
def test_behind_a_foreign_prefix_the_text_stands_apart_and_last(
    line: str, count: int, read: Read, tmp_path: Path
) -> None:
    assert read(write(tmp_path / "a.log", [line])).requests == count


def test_damaged_lines_cost_only_themselves(read: Read, tmp_path: Path) -> None:
    written = events(100)
    lines = [FORMATS["flat"](event).encode() for event in written]
    damaged = [
        b"\x00" * 50,
        b'{"timestamp":"\xff\xfe","level":"info"',
        lines[0][:-40],
        lines[1] + b"trailing",
        lines[2].replace(b'"duration_seconds":', b'"duration_seconds":NaN,"x":'),
        lines[3].replace(b'"duration_seconds":', b'"duration_seconds":-'),
        b"",
        b"   ",
        b"\xff\xfe Request took 0.1234 seconds",
    ]
    half = lines[4][:100]
    path = tmp_path / "a.log"
    path.write_bytes(b"\n".join([*lines[:50], *damaged, *lines[50:], half]))

    log = read(path)

    assert_as_written(log, written)
    assert log.others + log.skipped >= 6


def test_a_line_of_100_mb_costs_only_itself(read: Read, tmp_path: Path) -> None:
    written = events(40)
    lines = [FORMATS["flat"](event) for event in written]
    lines.insert(20, '{"level":"info","x":"' + "y" * 100_000_000 + '"}')
    log = read(write(tmp_path / "a.log", lines))

    assert_as_written(log, written)
    assert log.skipped == 1


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("size", [70, 100, 127, 129, 200, 900])
@pytest.mark.parametrize("place", [0, 20, 40])
def test_a_line_of_many_kilobytes_is_whole(
    place: int, size: int, pack: Callable[[bytes], bytes], read: Read, tmp_path: Path
) -> None:
    """Neither is it taken for one that is being written, nor for a document if it is first; other lines count too."""
    written = events(40)
    lines = [FORMATS["flat"](event) for event in written]
    lines[30] = BARE["text"](written[30])
    lines.insert(place, json.dumps(json.loads(OTHER) | {"x": "y" * (size << 10)}))
    path = tmp_path / "a.log"
    path.write_bytes(pack("\n".join([*lines, ""]).encode()))

    log = read(path)

    assert (log.requests, log.others, log.skipped) == (40, 1, 0)


@pytest.mark.parametrize("number", [200, 300])
def test_the_end_of_a_sample_is_no_line_that_is_cut(number: int, read: Read, tmp_path: Path) -> None:
    """In a file that is longer than one sample and shorter than two."""
    written = events(number)
    lines = [FORMATS["flat"](event) for event in written]
    lines[20] = BARE["text"](written[20])
    path = write(tmp_path / "a.log", lines)
    assert 1 << 16 < path.stat().st_size < 1 << 17

    log = read(path)

    assert (log.requests, log.skipped) == (number, 0)


def test_a_value_of_the_wrong_type_is_null_and_its_line_counts(read: Read, tmp_path: Path) -> None:
    event = events(1)[0] | {"status": "teapot", "path": {"a": 1}, "db_queries": [], "http": "text", "obs": 5}
    log = read(write(tmp_path / "a.log", [FORMATS["flat"](event)]))

    assert log.requests == 1
    row = log.connection.execute("SELECT status, db_queries, duration_seconds FROM requests").fetchone()
    assert row == (None, None, event["duration_seconds"])


def test_a_quoted_value_cannot_pose_as_another_field(read: Read, tmp_path: Path) -> None:
    event = events(1)[0] | {"path": '/a status=999 "duration_seconds=7 Request took 9.0 seconds'}
    log = read(write(tmp_path / "a.log", [FORMATS["logfmt"](event)]))

    row = log.connection.execute("SELECT status, path, duration_seconds FROM requests").fetchone()
    assert row == (event["status"], event["path"], event["duration_seconds"])


# Files


def test_files_patterns_and_archives_are_read_together(read: Read, tmp_path: Path) -> None:
    written = events(400)
    lines = [FORMATS["flat"](event) for event in written]
    write(tmp_path / "shop.log", lines[:100])
    write(tmp_path / "shop.log.1", lines[100:200])
    (tmp_path / "shop.log.2.gz").write_bytes(gzip.compress("\n".join(lines[200:250]).encode() + b"\n"))
    # An archive is known by what is in it; this one has two members, as `cat` makes it.
    (tmp_path / "strange[1]*name").write_bytes(
        b"".join(gzip.compress("\n".join(part).encode() + b"\n") for part in (lines[250:300], lines[300:400]))
    )

    log = read(tmp_path / "shop.log*", tmp_path / "strange[1]*name")

    assert_as_written(log, written)


def test_zstandard_is_read(read: Read, tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Written by DuckDB: Python has no such module before 3.14."""
    written = events(50)
    connection.execute("CREATE TABLE texts (line VARCHAR)")
    connection.executemany("INSERT INTO texts VALUES (?)", [[FORMATS["ecs"](event)] for event in written])
    path = tmp_path / "shop.log.zst"
    connection.execute(f"COPY texts TO '{path}' (FORMAT csv, HEADER false, QUOTE '', DELIMITER '\t', COMPRESSION zstd)")
    assert path.read_bytes()[:4] == b"\x28\xb5\x2f\xfd"

    assert_as_written(read(path), written)


def test_a_damaged_archive_gives_what_can_be_read(read: Read, tmp_path: Path) -> None:
    written = events(2_000)
    packed = gzip.compress("\n".join(FORMATS["flat"](event) for event in written).encode())
    path = tmp_path / "shop.log.gz"
    path.write_bytes(packed[: len(packed) // 2])

    log = read(path)

    assert 100 < log.requests < 2_000
    assert log.skipped


def test_a_damaged_archive_of_zstandard_is_a_message(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "shop.log.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + b"nothing that could be unpacked" * 10)

    with pytest.raises(SourceError, match=r"shop\.log\.zst: the archive is damaged"):
        read(path)


def test_a_fifo_is_read(read: Read, tmp_path: Path) -> None:
    written = events(30)
    path = tmp_path / "fifo"
    os.mkfifo(path)
    text = "\n".join(FORMATS["flat"](event) for event in written)
    with subprocess.Popen(["tee", path], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as feeder:
        assert feeder.stdin is not None
        feeder.stdin.write(text.encode())
        feeder.stdin.close()
        log = read(path)

    assert_as_written(log, written)


# Conditions


@pytest.mark.parametrize("form", ["flat", "ecs", "otel", "datadog", "gcp", "logfmt"])
def test_a_field_of_the_application_can_be_asked_for(form: str, read: Read, tmp_path: Path) -> None:
    written = events(90)
    log = read(write(tmp_path / "a.log", [FORMATS[form](event) for event in written]), where="tenant = 't1'")

    assert (log.requests, log.filtered) == (30, 60)
    assert [row.keys for row in FileRequests(log).groups(("tenant",)).rows] == [("t1",)]


def test_every_value_in_a_condition_is_a_parameter(read: Read, tmp_path: Path) -> None:
    nasty = "x') OR 1=1; DROP TABLE lines --"
    written: list[dict[str, Any]] = [events(1)[0], events(1)[0] | {"path": nasty}]
    log = read(write(tmp_path / "a.log", [FORMATS["flat"](event) for event in written]), where=f'path = "{nasty}"')

    assert (log.requests, log.filtered) == (1, 1)


@pytest.mark.parametrize("place", [0, 20])
@pytest.mark.parametrize("size", [300, 3_000_000])
def test_a_line_behind_a_hole_of_nuls_is_read(place: int, size: int, read: Read, tmp_path: Path) -> None:
    """As in a log that is emptied while a process still writes at its old place."""
    written = events(40)
    lines = [FORMATS["flat"](event).encode() + b"\n" for event in written]
    path = tmp_path / "shop.log"
    path.write_bytes(b"".join([*lines[:place], b"\0" * size, *lines[place:]]))

    log = read(path)

    assert_as_written(log, written)
    assert not log.skipped


@pytest.mark.parametrize("offset", [" +0100", " +01:00", "+0100", " -0230"])
def test_an_offset_behind_a_space_counts(offset: str, read: Read, tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", [f"[2026-11-02 11:00:00{offset}] [812] [INFO] Request took 0.0040 seconds"])

    found = FileRequests(read(path)).overview()

    assert found.first == dt.datetime.fromisoformat(f"2026-11-02T11:00:00{offset.strip()}")


def test_a_text_without_a_time_has_that_of_docker(read: Read, tmp_path: Path) -> None:
    wrapped = {"log": "Request took 0.0040 seconds\n", "stream": "stderr", "time": "2026-11-02T10:00:00.200000321Z"}

    found = FileRequests(read(write(tmp_path / "a.log", [json.dumps(wrapped)]))).overview()

    assert found.first == dt.datetime(2026, 11, 2, 10, 0, 0, 200_000, dt.UTC)


@pytest.mark.parametrize("form", ["flat", "ecs", "otel", "datadog", "gcp", "logfmt"])
def test_a_line_that_was_sent_twice_counts_once(form: str, read: Read, tmp_path: Path) -> None:
    """In the same file and in another one; an id that is missing is no id."""
    written = events(100)
    lines = [FORMATS[form](event) for event in written]
    first = write(tmp_path / "a.log", lines[:60] + lines[40:60])
    second = write(tmp_path / "b.log", lines[50:])

    log = read(first, second)

    assert_as_written(log, written)
    assert (log.repeated, log.skipped, log.lines) == (30, 0, 130)
    assert read(first, second, where="status >= 500", table="other").requests == sum(
        event["status"] >= 500 for event in written
    )


def test_lines_without_an_id_or_with_another_duration_all_count(read: Read, tmp_path: Path) -> None:
    line = {"level": "info", "outcome": "ok", "duration_seconds": 0.5}
    path = write(tmp_path / "a.log", [json.dumps(line | more) for more in ({}, {}, {"event_id": "a"})])
    with path.open("a") as file:
        file.write(json.dumps(line | {"event_id": "a", "duration_seconds": 0.25}) + "\n")

    log = read(path)

    assert (log.requests, log.repeated) == (4, 0)


def test_ids_with_one_hash_are_not_one_event(read: Read, tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Units that differ in nothing else that is read. DuckDB's hash of such ids is the same for a quarter of them."""
    ids = [f"745b04d{a:x}35f8f5c{b:x}-24" for a in range(16) for b in range(16)]
    hashes = connection.execute("SELECT count(DISTINCT hash(id)) FROM (SELECT unnest(?::VARCHAR[]) AS id)", [ids])
    assert hashes.fetchall() < [(len(ids),)]
    (event,) = events(1)

    log = read(write(tmp_path / "a.log", [FORMATS["flat"](event | {"event_id": one}) for one in ids]))

    assert (log.requests, log.repeated) == (len(ids), 0)
