"""
Count how long requests and tasks took, in histograms that all processes of a site share.

Measure. The setting ``METRICS`` selects where. A count costs a look into a dict, a search among the bounds and two
additions. Nothing is sent: `obs_middleware.metrics` adds up the processes when Prometheus asks.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from obs_middleware import platforms, threads
from obs_middleware.failures import report_once
from obs_middleware.measure.event import Event
from obs_middleware.measure.histogram_files import (
    MOST,
    HistogramFile,
    Key,
    Page,
    Reading,
    is_key_short,
    read_histograms,
)
from obs_middleware.measure.meter import Recorder, recorder
from obs_middleware.processes import call_after_fork

__all__ = ["FAMILIES", "OVERFLOW", "Family", "Histogram", "Histograms", "histograms_in"]

OVERFLOW: Final = "otel.metric.overflow"
"""The attribute of the histogram for everything beyond the limit, as in the SDK of OpenTelemetry."""

_OTHER: Final = "_OTHER"
"""The method of a request that is none of HTTP's, also from the conventions of OpenTelemetry."""

_EXEMPLAR_SECONDS: Final = 1.0
"""How long a bucket keeps an exemplar at least. Prometheus takes one for each time it asks."""
_RETRY_SECONDS: Final = 60.0
_MOST_TEXT: Final = 256
"""Characters of the value of an attribute."""
_control_characters: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_METHOD: Final = "http.request.method"
_ROUTE: Final = "http.route"
_KNOWN: Final = {
    _METHOD: ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"),
    "url.scheme": ("http", "https"),
}
"""The only values of attributes that come from the client."""


class Family(NamedTuple):
    """
    Histograms of one name.

    Attributes:
        name: The name, as OpenTelemetry writes it. The unit is seconds.
        help: What is measured.
        bounds: The upper bounds of the buckets in seconds, without the last, which has none.
        attributes: The names of the attributes, in the order of their values.
    """

    name: str
    help: str
    bounds: tuple[float, ...]
    attributes: tuple[str, ...]

    def key(self, values: Key) -> Key:
        """Return the key of the histogram for *values*, which every format can hold, and of which there are few."""
        return (self.name, *(_clean(*one) for one in zip(self.attributes, values, strict=True)))

    def described(self, key: Key) -> dict[str, str | int]:
        """Return the attributes of the histogram with *key*. Values of None are left out."""
        if len(key) == 1:
            return {OVERFLOW: "true"}
        return {name: value for name, value in zip(self.attributes, key[1:], strict=True) if value is not None}


_REQUESTS: Final = Family(
    "http.server.request.duration",
    "Duration of HTTP server requests.",
    # From the semantic conventions of OpenTelemetry, as the attributes.
    (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    (_METHOD, "url.scheme", _ROUTE, "http.response.status_code", "error.type"),
)
_TASKS: Final = Family(
    "task.duration",
    "Duration of attempts to do a task.",
    # A task may take an hour.
    (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0),
    ("task", "queue", "outcome", "error.type"),
)
FAMILIES: Final = {family.name: family for family in (_REQUESTS, _TASKS)}


class _Cell(NamedTuple):
    """A histogram in memory, with its attributes for OpenTelemetry."""

    page: Page
    attributes: dict[str, str | int]


class Histogram:
    """
    The histograms of one family in this process.

    Args:
        family: Their name, bounds and attributes.
        owner: Keeps the file.
    """

    def __init__(self, family: Family, owner: Histograms) -> None:
        self.family = family
        self._bounds = family.bounds
        self._owner = owner
        self._record: Recorder | None = None
        self._cells: dict[Key, _Cell] = {}

    def count(self, values: Key, seconds: float, event: Event) -> None:
        """
        Count a unit of work.

        Args:
            values: The values of the attributes; None for one that is absent.
            seconds: How long it took.
            event: Gives the exemplar, if its line was written.

        Raises:
            OSError: The directory cannot be used. Raised once a minute; meanwhile, nothing is counted.
        """
        try:
            cell = self._cells.get(values)
        except TypeError:  # a foreign request has a value that cannot be hashed
            cell = None
        if cell is None:
            cell = self._find(values)
            if cell is None:
                return
        page, attributes = cell
        counted = page.counted
        place = bisect_left(self._bounds, seconds)
        with _lock:
            page.numbers[place] = counted[place] = counted[place] + 1.0
            page.numbers[-1] = counted[-1] = counted[-1] + seconds
        if event.message is not None and event.started + seconds >= page.due[place]:
            page.due[place] = event.started + seconds + _EXEMPLAR_SECONDS
            trace = event.trace
            page.show(place, seconds, event.request_id, None if trace is None else trace["trace_id"])
        if self._record is not None:
            self._record(seconds, attributes)

    def _find(self, values: Key) -> _Cell | None:
        """Return the histogram for *values*, perhaps a new one. None if there is no file."""
        with _lock:
            file = self._owner.file()
            if file is None:
                return None
            key = self.family.key(values)
            cell = self._cells.get(key[1:])
            if cell is None:
                if self._owner.size >= MOST or not is_key_short(key):
                    return self._cells[()]
                try:
                    cell = self._adopt(key, file.add(key))
                except OSError as error:
                    report_once('OBS_MIDDLEWARE["METRICS"]', error)
                    self._owner.size = MOST  # the disk is full; do not try again
                    return self._cells[()]
            if self._is_worth_keeping(values, key):
                self._cells[values] = cell
            return cell

    def _is_worth_keeping(self, values: Key, key: Key) -> bool:
        """Return whether to find *key* by *values* the next time. A client could send any number of methods."""
        return len(self._cells) < 2 * MOST and all(
            one == cleaned or name not in _KNOWN
            for name, one, cleaned in zip(self.family.attributes, values, key[1:], strict=True)
        )

    def open(self, file: HistogramFile) -> None:
        """Count on in the histograms of *file*. That for everything beyond the limit always exists."""
        name = self.family.name
        try:
            self._record = recorder(name, self.family.help, self._bounds)
        except Exception as error:  # noqa: BLE001 -- the provider is foreign code, or too old for the bounds
            report_once("the meter provider of OpenTelemetry", error)
        for key, page in file.found:
            if key[0] == name:
                self._adopt(key, page)
        if () not in self._cells:
            self._adopt((name,), file.add((name,)))

    def _adopt(self, key: Key, page: Page) -> _Cell:
        """Count in *page* from now on, for the attributes in *key*."""
        cell = self._cells[key[1:]] = _Cell(page, self.family.described(key))
        self._owner.size += 1
        return cell

    def forget(self) -> None:
        """Let go of the memory."""
        for cell in self._cells.values():
            cell.page.release()
        self._cells.clear()


class Histograms:
    """
    The histograms of this process, and those of the processes that share their directory.

    Args:
        metrics: The setting ``METRICS``, which is not False.

    Attributes:
        requests: The histograms of requests.
        tasks: The histograms of tasks.
        size: How many histograms this process has.
    """

    def __init__(self, metrics: bool | str) -> None:
        self._named = None if isinstance(metrics, bool) else Path(metrics)
        self._file: HistogramFile | None = None
        self._retry = 0.0
        self.size = 0
        self.requests = Histogram(_REQUESTS, self)
        self.tasks = Histogram(_TASKS, self)

    def folder(self) -> Path | None:
        """Return the directory. None if this system cannot share memory, and each process counts alone."""
        if not platforms.SHARES_MEMORY:
            return None
        if self._named is not None:
            return self._named
        return Path(tempfile.gettempdir(), f"{_prefix()}{platforms.process_group()}")

    def read(self) -> Iterator[Reading]:
        """
        Yield the histograms of all processes.

        Raises:
            OSError: The directory is missing or not ours, or a file cannot be read.
        """
        folder = self.folder()
        if folder is None:
            yield from () if self._file is None else self._file.read()
        else:
            if self._named is None:
                _make_private(folder)  # as for counting: another user may have put a pipe there, or a link
            yield from read_histograms(folder)

    def file(self) -> HistogramFile | None:
        """
        Return the file of this process, opened at the first call. Call it under the lock.

        Returns:
            None if it could not be opened less than a minute ago.

        Raises:
            OSError: It cannot be opened.
        """
        if self._file is None and time.monotonic() >= self._retry:
            self._retry = retry = time.monotonic() + _RETRY_SECONDS
            folder = self.folder()
            if folder is not None and self._named is None:
                _make_private(folder)
                _delete_abandoned(folder)
            self._file = HistogramFile(folder)
            try:
                for histogram in (self.requests, self.tasks):
                    histogram.open(self._file)
            except BaseException:
                self.forget()  # half a file has no histogram for the overflow
                self._retry = retry
                raise
        return self._file

    def forget(self) -> None:
        """Let go of the file, which may be that of the parent of this process."""
        self.requests.forget()
        self.tasks.forget()
        if self._file is not None:
            self._file.close()
        self._file, self._retry, self.size = None, 0.0, 0


_kept: Final[dict[bool | str, Histograms]] = {}
_lock: Any = threads.RLock()
"""Guards all histograms. Reentrant, because a signal handler may serve a request."""


def histograms_in(metrics: bool | str | os.PathLike[str]) -> Histograms:
    """Return the histograms of this process for the setting ``METRICS``, which is not False."""
    key = metrics if isinstance(metrics, bool) else os.fspath(metrics)
    if key not in _kept:
        _kept[key] = Histograms(key)
    return _kept[key]


def _clean(name: str, value: object) -> str | int | None:
    """Return the value of an attribute as one of a few, and if it is a text, as one that every format can hold."""
    known = _KNOWN.get(name)
    if known is not None:
        return value if type(value) is str and value in known else _OTHER if name == _METHOD else None
    if type(value) is not str:
        return int(value) if isinstance(value, int) else None  # a status may be an HTTPStatus
    if not value and name == _ROUTE:
        return "/"  # to Prometheus an empty label is a missing one, but the root is a route
    cut = value if len(value) <= _MOST_TEXT else f"{value[: _MOST_TEXT - 1]}…"
    return _control_characters.sub("\N{REPLACEMENT CHARACTER}", cut)


def _prefix() -> str:
    return f"obs_middleware-{platforms.user_id()}-"


def _make_private(folder: Path) -> None:
    """
    Create *folder*, which has a known name in a folder that is open to other users.

    Raises:
        OSError: Somebody else has created it.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != platforms.user_id() or found.st_mode & 0o022:
        raise OSError(f"{folder} is not a folder of this user alone")


def _delete_abandoned(folder: Path) -> None:
    """Delete the folders of servers that are no more."""
    for other in folder.parent.glob(f"{_prefix()}*"):
        group = other.name.removeprefix(_prefix())
        if other != folder and group.isdecimal() and not platforms.is_group_alive(int(group)):
            shutil.rmtree(other, ignore_errors=True)


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 -- a thread that holds the lock at the fork is not in the child
    _lock = threads.RLock()
    for histograms in _kept.values():
        histograms.forget()


call_after_fork(_after_fork)
