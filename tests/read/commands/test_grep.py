"""`obs-middleware grep`: the matching lines, unchanged."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from console import COMMAND, DEADLINE, Run, on_a_terminal, write
from loglines import BARE, FORMATS, Event, events, tasks


def test_grep_prints_the_original_lines(run: Run, log: Path, written: list[Event]) -> None:
    expected = [FORMATS["flat"](event) for event in written if event["status"] == 500]

    assert run("grep", "status >= 500", log) == (0, "".join(f"{line}\n" for line in expected), "")
    assert run("grep", "status >= 500", log, "--count")[1] == f"{len(expected)}\n"
    assert run("grep", "status >= 500", log, "--method", "DELETE") == (1, "", "")


def test_control_characters_in_lines_are_inert_on_a_terminal(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(BARE["root logger"](events(1)[0]).replace("INFO", "INFO\x1b]0;title\x07") + "\n")

    assert "\x1b]0" not in on_a_terminal("grep", "duration_seconds >= 0", log)


@pytest.mark.parametrize("count", [[], ["--count"]])
def test_grep_names_a_field_that_no_line_has(count: list[str], run: Run, log: Path) -> None:
    code, out, err = run("grep", "tenat = 't1' or tenant = 't9'", log, "--since", "1h", *count)

    assert (code, out) == (1, "0\n" if count else "")
    assert err == "obs-middleware: no line has the field tenat\n"
    assert run("grep", "tenant = 't9'", log, *count)[2] == ""


def test_grep_names_a_field_that_no_line_of_a_pipe_has(log: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "grep", "tenat = 't1'"], input=log.read_bytes(), capture_output=True, check=False, timeout=DEADLINE
    )

    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"obs-middleware: no line has the field tenat\n"


def test_grep_finds_a_text_in_whatever_way_the_line_writes_it(run: Run, tmp_path: Path) -> None:
    """An equality searches the text of the lines first, and must not lose a line that escapes it."""
    event = {**events(1)[0], "path": "/orders/r\u00e9sum\u00e9/4711/", "view": "shop:orders"}
    escaped = json.dumps(event).replace("shop:orders", "\\u0073hop:orders").replace("/", "\\/")
    numbers = json.dumps({**event, "tenant": 100.0}).replace("100.0", "1e2")
    lines = [*(form(event) for form in FORMATS.values()), escaped, json.dumps(event, ensure_ascii=False), numbers]
    others = [FORMATS["flat"](one) for one in events(50, seed=3)]
    log = write(tmp_path / "shop.log", [*others, *lines])
    expected = "".join(f"{line}\n" for line in lines)

    assert run("grep", "path = '/orders/r\u00e9sum\u00e9/4711/'", log) == (0, expected, "")
    assert run("grep", "view = 'shop:orders'", log) == (0, expected, "")
    assert run("grep", "view = 'shop:orders' and tenant = '100.0'", log) == (0, f"{numbers}\n", "")


@pytest.mark.parametrize("expression", ["level = 'error'", "kind = 'task'", "method = 'get'", "outcome = 'ok'"])
@pytest.mark.parametrize("schema", [*FORMATS])
def test_an_equality_finds_what_a_pattern_finds(run: Run, tmp_path: Path, schema: str, expression: str) -> None:
    log = write(tmp_path / "shop.log", [FORMATS[schema](event) for event in (*events(60), *tasks(20))])

    assert run("grep", expression, log) == run("grep", re.sub("= '(.*)'", r"~ '^\1$'", expression), log)
