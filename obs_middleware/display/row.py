"""
One line of the log as a row for people: `row`.

The console format and ``obs-middleware pretty`` show the same rows. A row consists of parts with styles in the words of
Rich, and each of the two prints them in its way. The text is inert: values are escaped here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from obs_middleware.display.cells import cells, padded, shortened
from obs_middleware.display.escape import escape_controls
from obs_middleware.display.numbers import MISSING, duration, number_of

__all__ = ["Line", "Part", "row"]

_LABEL: Final = 7
"""Columns of the method, the kind or the level: ``OPTIONS``, ``command``, ``warning``."""
_LONGEST_LABEL: Final = 16
_STATUS: Final = 3
_DURATION: Final = 8
_QUERIES: Final = 7
_COLUMNS: Final = 13
"""Columns beside time, path and figures, with their gaps."""
_FIGURES: Final = 17
"""Columns of duration and queries, with their gaps."""
_BEHIND: Final = 30
"""Columns that are kept free for the id and for what was bound."""
_LEAST_SUBJECT: Final = 20
_USUAL_SUBJECT: Final = 32
"""Columns of the path in a terminal of 100 columns, and in a file or a pipe, which has no edge."""
_MOST_SUBJECT: Final = 48
_ID: Final = 8
"""Characters of an id that are shown. ``obs-middleware request`` finds the request by them."""
_WHOLE_ID: Final = 12
_INDENT: Final = "    "

_MILD: Final = frozenset({"cancelled", "aborted", "ignored", "rejected", "retry", "revoked", "expired"})
"""Outcomes that are neither good nor a failure."""
_LEVELS: Final = {"debug": "dim", "info": "cyan", "warning": "yellow", "error": "bold red", "critical": "bold red"}
_STATUSES: Final = {2: "green", 3: "cyan", 4: "yellow", 5: "bold red"}
_LABELS: Final = {"websocket": "socket"}
"""A shorter word for a kind that is wider than its column."""

_ACCESS_LOGS: Final = ("django.server", "django.channels.server", "werkzeug")
_ACCESS: Final = re.compile(r'(?:\S+ - - \[[^]]*\] )?"?(?:HTTP )?([A-Z]+) (\S+) (?:HTTP/[\d.]+" )?([1-5]\d\d)\b')
"""
``"GET /static/shop.css HTTP/1.1" 200 22120`` of Django, ``HTTP GET /static/shop.css 200 [0.01, ...]`` of daphne,
``127.0.0.1 - - [29/Nov/2026 17:35:21] "GET /static/shop.css HTTP/1.1" 200 -`` of werkzeug.
"""

_PLACED: Final = frozenset(
    "timestamp level logger message kind method path query status outcome duration_seconds"  # noqa: SIM905 -- short
    " db_queries slow slow_at db_repeats db_repeated_at blocked_seconds blocked_at http_calls http_seconds task tasks"
    " command attempt queue_seconds"
    " exit_code close_code error_type error_message stack_trace stack_info request_id task_id".split()
)
"""Fields that have a place of their own in a row."""
_LEFT_OUT: Final = frozenset(
    "event_id service version environment trace_id span_id parent_span_id route view"  # noqa: SIM905 -- as above
    " first_byte_seconds request_bytes response_bytes db_seconds user_id client_ip user_agent host scheme http_version"
    " referrer headers queue parent_task_id".split()
)
"""Fields for programs, which would hide the others in a row."""


class Part(NamedTuple):
    """
    A piece of a row.

    Attributes:
        text: Its inert text.
        style: Its look in the words of Rich, such as ``bold red``.
    """

    text: str
    style: str = ""


Line = list[Part]
"""One line on the screen."""

_Word = tuple[Part, ...]
"""Parts that are never separated by the end of a line."""


def row(fields: Mapping[str, Any], time: str, width: int | None = None) -> list[Line]:
    """
    Return a line of the log as one line on the screen, or as several if it is wider than *width*.

    The line of a request, a task, a command or a connection has columns: time, method or kind, path or name, status or
    outcome, duration, queries. Any other line has time, level, logger and message. Then come marks (``slow``), the
    fields that the application added, and the beginning of the id. A traceback is not included.

    Args:
        fields: The fields of the line, by their names in the flat schema.
        time: The time, as it is to be shown.
        width: Columns of the terminal; None for a file or a pipe, where a row is neither broken nor shortened.
    """
    fields = _access(fields) or fields
    marks, ids = [*_marks(fields), *_waits(fields), *_pairs(fields)], list(_id(fields))
    if "outcome" in fields or _is_number(fields.get("duration_seconds")):
        figures = list(_figures(fields))
        if _is_narrow(len(time), width):
            marks = [*((Part(text.lstrip(), style),) for text, style in figures), *marks]
            figures = []
        rest = 0 if width is None else _width_of(marks) + _width_of(ids)
        return _wrapped(_unit(fields, time, figures, width, rest), [marks, ids], time, width)
    head, message = _other(fields, time)
    return _wrapped(head, [message, marks, ids], time, width)


def _access(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the fields of a request that only the development server has logged, for example of a static file."""
    if fields.get("logger") not in _ACCESS_LOGS or not (found := _ACCESS.match(_text(fields.get("message")))):
        return None
    others = {name: value for name, value in fields.items() if name != "status_code"}
    return others | {"method": found[1], "path": found[2], "status": int(found[3]), "outcome": "ok"}


def _unit(fields: Mapping[str, Any], time: str, figures: Line, width: int | None, rest: int) -> Line:
    """Return the columns of a unit of work, up to its *figures*; *rest* is the width of the words behind them."""
    kind = _text(fields.get("kind"))
    label = _LABELS.get(kind, kind) or _text(fields.get("method")) or MISSING
    subject = _text(fields.get(kind)) or _path(fields) or _text(fields.get("message"))
    outcome, status = _text(fields.get("outcome")), fields.get("status")
    result = f"{outcome or MISSING if status is None else _text(status):>{_STATUS}}"
    strong, usual = _looks(fields)
    before = [Part(time, "dim"), Part(" "), _label(label, strong), Part(" ")]
    behind = [Part(" "), Part(result, _style_of(status, outcome)), *figures]
    column = _subject_width(len(time), width) - (len(result) - _STATUS)
    if width is not None:
        room = width - _cells((*before, *behind))
        # If the row must be continued below anyway, the path can have the whole line.
        subject = shortened(subject, max(column, room - rest) if column + rest <= room else room)
    return [*before, Part(padded(subject, column), usual), *behind]


def _figures(fields: Mapping[str, Any]) -> Iterator[Part]:
    """Yield duration and queries as columns, each with the gap before it."""
    if _is_number(fields.get("duration_seconds")):
        took = duration(fields["duration_seconds"])
        yield Part(f" {took:>{_DURATION}}", "bold yellow" if fields.get("slow") else "")
    if fields.get("db_queries") is not None:
        queries = f"{_text(fields['db_queries'])} sql"
        yield Part(f" {queries:>{_QUERIES}}", "bold yellow" if fields.get("db_repeated_at") else "dim")


def _other(fields: Mapping[str, Any], time: str) -> tuple[Line, list[_Word]]:
    """Return the columns of a line that is not about a unit of work, and the words of its message."""
    level = _text(fields.get("level"))
    head = [Part(time, "dim"), Part(" "), _label(level, _LEVELS.get(level, ""))]
    if logger := _text(fields.get("logger")):
        head += [Part(" "), Part(logger, "dim")]
    style = "red" if _is_bad(fields) else ""
    return head, [(Part(word, style),) for word in _text(fields.get("message")).split(" ")]


def _path(fields: Mapping[str, Any]) -> str:
    query = _text(fields.get("query"))
    return _text(fields.get("path")) + (f"?{query}" if query else "")


def _subject_width(time: int, width: int | None) -> int:
    """Return the columns of the path: more in a wide terminal, as many as there are in a narrow one."""
    if width is None:
        return _USUAL_SUBJECT
    room = width - time - _COLUMNS
    if _is_narrow(time, width):
        return room
    return min(max(room - _FIGURES - _BEHIND, _LEAST_SUBJECT), _MOST_SUBJECT)


def _is_narrow(time: int, width: int | None) -> bool:
    """Return whether the figures must go below to leave room for the path. A continued row is then indented by less."""
    return width is not None and width - time - _COLUMNS - _FIGURES < _LEAST_SUBJECT


# Marks and fields


def _marks(fields: Mapping[str, Any]) -> Iterator[_Word]:
    """Yield what is not as it usually is."""
    outcome, status = _text(fields.get("outcome")), fields.get("status")
    if status is not None and outcome not in {"", "ok"} and not (outcome == "error" and _hundreds(status) == 5):
        yield (Part(outcome, _style_of(None, outcome)),)
    if fields.get("slow"):
        yield (Part(f"slow{_where(fields, 'slow_at')}", "bold yellow"),)
    if _is_number(fields.get("blocked_seconds")):
        blocked = _short(fields["blocked_seconds"])
        yield (Part(f"blocked the loop {blocked}{_where(fields, 'blocked_at')}", "bold yellow"),)
    if "db_repeated_at" in fields:  # a statement that ran only a few times is no mark
        repeats = _text(fields.get("db_repeats"))
        yield (Part(f"{repeats}x the same sql{_where(fields, 'db_repeated_at')}", "bold yellow"),)
    for name, usual in (("attempt", "1"), ("exit_code", "0"), ("close_code", "1000")):
        if (number := _text(fields.get(name))) not in {"", usual}:
            yield (Part(f"{name.replace('_', ' ')} {number}", "yellow"),)
    error = _text(fields.get("error_type"))
    if not fields.get("stack_trace"):  # which ends with the message
        error = ": ".join(filter(None, (error, _text(fields.get("error_message")))))
    if error:
        yield (Part(error, "red"),)


def _where(fields: Mapping[str, Any], name: str) -> str:
    place = _text(fields.get(name))
    return f" at {place}" if place else ""


def _waits(fields: Mapping[str, Any]) -> Iterator[_Word]:
    """Yield for what the work waited, and the work that it caused."""
    if _is_number(fields.get("queue_seconds")):
        yield Part("waited ", "dim"), Part(_short(fields["queue_seconds"]))
    if calls := fields.get("http_calls"):
        yield Part(f"{_text(calls)} http ", "dim"), Part(_short(fields.get("http_seconds")))
    if type(tasks := fields.get("tasks")) is list:
        yield (Part(number_of(len(tasks), "task")),)


def _pairs(fields: Mapping[str, Any]) -> Iterator[_Word]:
    """Yield the fields that the application added, and other fields that are rare enough to be worth their place."""
    for name, value in fields.items():
        if name in _PLACED or name in _LEFT_OUT:
            continue
        base, _, unit = name.rpartition("_")
        if unit == "seconds" and base and _is_number(value):
            yield Part(f"{escape_controls(base)}=", "dim"), Part(_short(value))
        elif not (unit == "count" and value == 1 and f"{base}_seconds" in fields):  # timed() once
            yield Part(f"{escape_controls(name)}=", "dim"), Part(_value(value))


def _id(fields: Mapping[str, Any]) -> Iterator[_Word]:
    text = _text(fields.get("request_id") or fields.get("task_id"))
    if text:
        yield (Part(text if len(text) <= _WHOLE_ID else text[:_ID], "dim"),)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if type(value) is int:
        return str(value)
    return escape_controls(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def _value(value: Any) -> str:
    text = _text(value)
    if isinstance(value, str) and (not text or " " in text or '"' in text):
        return '"' + text.replace('"', '\\"') + '"'
    return text or "null"


def _short(seconds: Any) -> str:
    """Return a duration as one word."""
    return duration(seconds).replace(" ", "") if _is_number(seconds) else MISSING


# Styles


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and value >= 0


def _hundreds(status: Any) -> int:
    return status // 100 if type(status) is int else 0


def _is_bad(fields: Mapping[str, Any]) -> bool:
    outcome = _text(fields.get("outcome"))
    return (
        _text(fields.get("level")) in {"error", "critical"}
        or _hundreds(fields.get("status")) >= 5
        or (outcome not in {"", "ok"} and outcome not in _MILD)
    )


def _style_of(status: Any, outcome: str) -> str:
    if status is None:
        return {"ok": "green", "": ""}.get(outcome, "yellow" if outcome in _MILD else "bold red")
    return _STATUSES.get(_hundreds(status), "")


def _looks(fields: Mapping[str, Any]) -> tuple[str, str]:
    """Return the styles of the first word and of the path. A static file is dim, as long as it is found."""
    if _is_bad(fields):
        return "bold red", "red"
    if _text(fields.get("level")) == "warning":
        return "yellow", ""
    return ("bold", "") if "duration_seconds" in fields else ("dim", "dim")


# Columns


def _label(text: str, style: str) -> Part:
    return Part(padded(shortened(text, _LONGEST_LABEL), _LABEL), style)


def _cells(parts: Iterable[Part]) -> int:
    return sum(cells(part.text) for part in parts)


def _width_of(words: Sequence[_Word]) -> int:
    """Return the columns of a group of *words* with the gap before it."""
    return sum(_cells(word) + 1 for word in words) + bool(words)


def _wrapped(head: Line, groups: Sequence[Sequence[_Word]], time: str, width: int | None) -> list[Line]:
    """Return *head* and the words behind it, broken between words so that each line fits in *width* if possible."""
    margin = _INDENT if _is_narrow(len(time), width) else " " * (len(time) + _LABEL + 2)
    line = list(head)
    lines = [line]
    column = 0 if width is None else _cells(head)
    for words in groups:
        gap = "  "
        for word in words:
            size = 0 if width is None else _cells(word)
            if width is not None and column + len(gap) + size > width and column > len(margin):
                line = [Part(margin)]
                lines.append(line)
                column = len(margin)
                gap = ""
            _add(line, Part(gap, word[0].style))
            for part in word:
                _add(line, part)
            column += len(gap) + size
            gap = " "
    return lines


def _add(line: Line, part: Part) -> None:
    """Append *part*, or let the last part of the same style grow, so that a text stays in one piece between colours."""
    if line[-1].style == part.style:
        line[-1] = Part(line[-1].text + part.text, part.style)
    elif part.text:
        line.append(part)
