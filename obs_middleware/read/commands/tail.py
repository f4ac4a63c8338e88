"""
``obs-middleware tail``: follow a log across rotation, with readable lines and a summary of the last minute.

Lines that pass the filters are shown. Without filters, lines of other programs are shown too, because tracebacks are
among them.
"""

from __future__ import annotations

import argparse
import stat
import statistics
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.text import Text

from obs_middleware.display.numbers import duration, number_of, percent, rate
from obs_middleware.read.answers import FEW
from obs_middleware.read.commands._arguments import add_local_files, whole_number
from obs_middleware.read.commands._common import answered_in, file_session, zone_in
from obs_middleware.read.errors import SourceError
from obs_middleware.read.files.follow import Follower, PipeFollower
from obs_middleware.read.files.parsed import LineParser
from obs_middleware.read.files.session import FileSession
from obs_middleware.read.show.lines import SHOWN_FIELDS, failed, write_shown
from obs_middleware.read.show.text import console
from obs_middleware.read.where.times import seconds_of

__all__ = ["Summary", "configure", "run"]

POLL_SECONDS: Final = 0.1
WINDOW_SECONDS: Final = 60.0


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
        self._parser = LineParser(session.connection, session.condition, SHOWN_FIELDS)
        self._zone = zone_in(session)

    def show(self, lines: Sequence[str]) -> None:
        """Print the lines that pass the filters. Without filters, print lines of other programs too."""
        found = list(self._parser.parse(lines))
        for line in found:
            if line.is_request:
                self.summary.add(line.fields["duration_seconds"], failed=failed(line.fields))
        write_shown(self._output, found, self._zone)
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
