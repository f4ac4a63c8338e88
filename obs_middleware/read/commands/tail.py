"""
``obs-middleware tail``: follow a log across rotation, with readable lines and a summary of the last minute.

Lines that pass the filters are shown. Without filters, lines of other programs are shown too, because tracebacks are
among them.
"""

from __future__ import annotations

import argparse
import datetime as dt
import stat
import statistics
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.text import Text

from obs_middleware.read.answers import FAILED_OUTCOMES, FAILED_STATUS, FEW
from obs_middleware.read.commands._arguments import add_local_files, whole_number
from obs_middleware.read.commands._common import answered_in, file_session
from obs_middleware.read.errors import SourceError
from obs_middleware.read.files.columns import quoted
from obs_middleware.read.files.follow import Follower, PipeFollower
from obs_middleware.read.files.lines import line_rows
from obs_middleware.read.files.predicate import predicate
from obs_middleware.read.files.session import FileSession
from obs_middleware.read.show.numbers import duration, number_of, percent, rate
from obs_middleware.read.show.text import console, inert
from obs_middleware.read.where.times import seconds_of

__all__ = ["Summary", "configure", "run"]

POLL_SECONDS: Final = 0.1
WINDOW_SECONDS: Final = 60.0
_FIELDS: Final = (
    "timestamp",
    "level",
    "logger",
    "message",
    "method",
    "path",
    "status",
    "outcome",
    "duration_seconds",
    "request_id",
    "error_type",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``tail``."""
    add_local_files(parser)
    parser.add_argument(
        "-F", "--follow", action="store_true", help="follow the name across rotation; this is the default"
    )
    parser.add_argument(
        "-n", "--lines", type=whole_number, default=10, metavar="N", help="number of last lines to print first (10)"
    )
    parser.add_argument("--every", default="10s", metavar="TIME", help="interval of the summary, 0 for none (10s)")


def run(arguments: argparse.Namespace) -> int:
    """Follow until the pipe ends or you press Ctrl-C."""
    return answered_in(file_session, arguments, _answer)


class Summary:
    """
    The requests that were read during the last `WINDOW_SECONDS`.

    Attributes:
        news: Whether there were requests since the last call of `text`.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float, bool | None]] = deque()
        self._started = time.monotonic()
        self.news = False

    def add(self, seconds: float, *, failed: bool | None) -> None:
        """Add a request; *failed* is None if its line has neither status nor outcome."""
        self.news = True
        self._seen.append((time.monotonic(), seconds, failed))

    def text(self) -> str:
        """Return the figures as one line, and reset `news`."""
        self.news = False
        now = time.monotonic()
        while self._seen and self._seen[0][0] < now - WINDOW_SECONDS:
            self._seen.popleft()
        window = min(WINDOW_SECONDS, max(now - self._started, 1.0))
        n = len(self._seen)
        parts = [f"last {window:.0f} s: {number_of(n, 'request')}", rate(n / window)]
        known = [failed for _, _, failed in self._seen if failed is not None]
        if known:
            parts.append(f"{number_of(sum(known), 'error')} ({percent(sum(known) / len(known))})")
        durations = [seconds for _, seconds, _ in self._seen]
        if durations:
            mark = "" if n >= FEW else "*"
            cuts = statistics.quantiles(durations, n=20, method="inclusive") if n > 1 else durations * 19
            parts += [
                f"p50 {duration(cuts[9])}{mark}",
                f"p95 {duration(cuts[18])}{mark}",
                f"max {duration(max(durations))}{mark}",
            ]
        return "  ".join(parts)


def _answer(arguments: argparse.Namespace, session: FileSession) -> int:
    every = seconds_of(arguments.every, "--every")
    followers = _followers(arguments)
    screen = _Screen(session)
    due = time.monotonic() + every
    try:
        while True:
            lines = _read(followers)
            if lines:
                screen.show(lines)
            elif all(follower.ended for follower in followers):
                break
            if every and screen.summary.news and time.monotonic() >= due:
                screen.show_summary()
                due = time.monotonic() + every
            if not lines:
                time.sleep(POLL_SECONDS)
    finally:
        for follower in followers:
            follower.close()
        if every and screen.summary.news:
            screen.show_summary()
    return 0


class _Screen:
    """
    Prints lines and summaries.

    Attributes:
        summary: The requests among the lines that were printed.
    """

    def __init__(self, session: FileSession) -> None:
        self.summary = Summary()
        self._output = console()
        self._connection = session.connection
        condition = predicate(session.condition)
        self._filtered = bool(condition.fields)
        # The parameters of the condition come before the lines in the text of the query.
        self._parameters = condition.parameters
        rows = line_rows(frozenset({*_FIELDS, *condition.fields}), "SELECT unnest(?::VARCHAR[]) AS line", keep=True)
        self._query = (
            f"SELECT _obs_line, _obs_request AND duration_seconds >= 0, ({condition.sql}) IS TRUE,"
            f" {', '.join(map(quoted, _FIELDS))} FROM ({rows})"
        )
        self._connection.execute("SET preserve_insertion_order = true")
        self._connection.execute("SET threads = 1")

    def show(self, lines: Sequence[str]) -> None:
        """Print the lines that pass the filters. Without filters, print lines of other programs too."""
        found = self._connection.execute(self._query, [*self._parameters, lines]).fetchall()
        for line, is_request, passes, *values in found:
            fields = dict(zip(_FIELDS, values, strict=True))
            known = is_request or fields["level"] is not None
            if self._filtered and not (known and passes):
                continue
            if is_request:
                self.summary.add(fields["duration_seconds"], failed=_failed(fields))
                self._output.print(_request(fields))
            elif known:
                self._output.print(_other(fields))
            else:
                self._output.print(Text(inert(line), style="dim"))
        sys.stdout.flush()

    def show_summary(self) -> None:
        """Print the figures of the last minute."""
        self._output.print(Text(f"-- {self.summary.text()}", style="bold"))
        sys.stdout.flush()


def _followers(arguments: argparse.Namespace) -> list[Follower | PipeFollower]:
    names = arguments.files or ["-"]
    if names == ["-"] and sys.stdin.isatty():
        raise SourceError("there is no log to follow: name a log file, or pipe one in")
    found: list[Follower | PipeFollower] = []
    for name in names:
        if name == "-":
            found.append(PipeFollower(sys.stdin.fileno()))
            continue
        path = Path(name)
        try:
            kind = path.stat().st_mode
        except (OSError, ValueError) as error:
            raise SourceError(f"{name}: {getattr(error, 'strerror', None) or error}") from error
        if stat.S_ISDIR(kind):
            raise SourceError(f"{name}: is a directory, not a log file")
        found.append(Follower(path, arguments.lines))
    return found


def _read(followers: Sequence[Follower | PipeFollower]) -> list[str]:
    try:
        return [line for follower in followers for line in follower.read()]
    except OSError as error:
        raise SourceError(f"{error.filename or 'input'}: {error.strerror}") from error


def _failed(fields: dict[str, Any]) -> bool | None:
    if fields["status"] is None and fields["outcome"] is None:
        return None
    return (fields["status"] or 0) >= FAILED_STATUS or fields["outcome"] in FAILED_OUTCOMES


def _request(fields: dict[str, Any]) -> Text:
    status, failed = fields["status"], _failed(fields)
    style = "red" if failed else "yellow" if (status or 0) >= 400 else "green"
    text = _time(fields["timestamp"])
    text.append(f"{'-' if status is None else status:>4} ", style=style)
    text.append(f"{duration(fields['duration_seconds']):>8} ", style="bold")
    if fields["path"] is None:
        text.append(inert(fields["message"] or ""))
    else:
        text.append(f" {inert(fields['method'] or '-')} {inert(fields['path'])}")
    if fields["outcome"] not in {None, "ok"}:
        text.append(f"  {inert(fields['outcome'])}", style=style)
    if fields["error_type"]:
        text.append(f" {inert(fields['error_type'])}", style=style)
    if fields["request_id"]:
        text.append(f"  {inert(fields['request_id'])}", style="dim")
    return text


def _other(fields: dict[str, Any]) -> Text:
    level = fields["level"]
    style = "red" if level in {"error", "critical"} else "yellow" if level == "warning" else "cyan"
    text = _time(fields["timestamp"])
    text.append(f"{inert(level):>13} ", style=style)
    if fields["logger"]:
        text.append(f" {inert(fields['logger'])}:", style="dim")
    text.append(f" {inert(fields['message'] or '')}")
    if fields["request_id"]:
        text.append(f"  {inert(fields['request_id'])}", style="dim")
    return text


def _time(when: dt.datetime | None) -> Text:
    return Text(f"{when:%H:%M:%S}.{when.microsecond // 1000:03d}" if when else " " * 12, style="dim")
