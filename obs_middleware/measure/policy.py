"""
Decide whether a request line is written, and at which level.

Measure. The decision is made once, at the end of the request. A request that fails, is slow or refused, or whose client
leaves, is always written.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import re
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from obs_middleware.conf import resolve
from obs_middleware.measure.event import Event
from obs_middleware.processes import call_after_fork

__all__ = [
    "FAILED",
    "Level",
    "Mark",
    "Policy",
    "Rule",
    "default_level",
    "is_failure",
    "keeps",
    "level_by_status",
    "level_named",
    "merged_rule",
    "rule_of",
    "sampling_key",
]

Level = Callable[[int | None, float, str], int | str]
"""A function of ``(status, duration_seconds, outcome)`` that returns a logging level, as number or name."""

FAILED: Final = frozenset({"error", "stream_error", "lost", "timeout", "killed", "unknown"})
"""The outcomes of work that failed: the first three of a request, all but the second and third of other work."""

_WARNED: Final = frozenset({("task", "retry"), ("task", "rejected")})
"""Kind and outcome of work that has not succeeded, and that is tried again or taken by somebody else."""

RULE_ATTRIBUTE: Final = "_obs_middleware_rule"
"""The attribute that every marked view has. Its value is an empty `Rule`; `rule_of` reads the marks."""


@dataclass(frozen=True, slots=True)
class Rule:
    """
    How to treat requests that have nothing wrong with them.

    Attributes:
        exclude: Do not write them.
        quiet: Write one of them in ``QUIET_SECONDS``. The value names the group that is counted together.
        rate: Write this share of them, from 0 to 1. None for the site's ``SAMPLE_RATE``.
    """

    exclude: bool = False
    quiet: str | None = None
    rate: float | None = None


class Mark(NamedTuple):
    """
    The mark of one decorator on a view.

    Attributes:
        number: Numbers the marks of the process. The higher one is that of the outer decorator, or of a subclass.
        said: Values for fields of a `Rule`.
    """

    number: int
    said: Mapping[str, Any]


def sampling_key(secret: str) -> bytes:
    """Return the key of `keeps` for *secret*. It tells nothing about the secret, and differs from its other uses."""
    data = secret.encode("utf-8", "replace")
    return hashlib.blake2b(data, digest_size=32, person=b"obs_middleware").digest() if secret else b""


def keeps(request_id: str, rate: float, key: bytes = b"") -> bool:
    """
    Return whether sampling at *rate* keeps the request with this id.

    Every service with the same *key* gets the same answer. A client that does not know the key cannot choose an id that
    is left out.
    """
    if rate >= 1:
        return True
    if rate <= 0:
        return False
    digest = hashlib.blake2b(request_id.encode("utf-8", "replace"), digest_size=8, key=key).digest()
    return int.from_bytes(digest, "big") < rate * 2**64


def is_failure(event: Event) -> bool:
    """Return whether the work of *event* failed: it raised, got a 5xx or no end, or Django said ERROR of it."""
    if event.is_expected:
        return False
    return event.outcome in FAILED or (event.records is not None and event.records.is_error)


def default_level(event: Event) -> int:
    """Return the level of the line of *event* when the setting ``LEVEL`` is None."""
    if is_failure(event):
        return logging.ERROR
    return logging.WARNING if (event.kind, event.outcome) in _WARNED else logging.INFO


def level_named(level: Any) -> Level | None:
    """
    Return the function for the setting ``LEVEL``; None for the default, which is ERROR for failures and else INFO.

    Raises:
        ImportError: *level* is a dotted path and names nothing.
    """
    return _LEVELS[level] if isinstance(level, str) and level in _LEVELS else resolve(level)


def _info(status: int | None, duration_seconds: float, outcome: str) -> int:  # noqa: ARG001 -- the signature of all levels
    return logging.INFO


def level_by_status(status: int | None, duration_seconds: float, outcome: str) -> int:  # noqa: ARG001 -- as above
    """
    Return the level for ``LEVEL = "status"``.

    ERROR for 5xx and for a body that raised or was lost, WARNING for 4xx, INFO for everything else. INFO also for 429,
    because the rate limiter does its work, and for 499, because the client left.
    """
    if outcome in FAILED:
        return logging.ERROR
    if status is not None and 400 <= status < 500 and status not in {429, 499}:
        return logging.WARNING
    return logging.INFO


_LEVELS: Final[Mapping[str, Level]] = {"info": _info, "status": level_by_status}


class Policy:
    """
    Decide whether a line is written. Remembers only when each quiet line was last written.

    Attributes:
        keeps_all: Nothing is configured, so only a decorator can hold a line back.

    Args:
        exclude: Regular expressions that are searched for in the path.
        quiet: The same, for paths of which one request per *quiet_seconds* is written.
        quiet_seconds: How long a quiet path stays silent after a line.
        sample_rate: The share of ordinary requests that is written, from 0 to 1.
        slow_seconds: A request that takes this long is slow. None: no request is.
        sample_secret: Decides, with the request id, which requests are sampled.
    """

    def __init__(  # noqa: PLR0913 -- one for each setting, by keyword
        self,
        *,
        exclude: Sequence[str] = (),
        quiet: Sequence[str] = (),
        quiet_seconds: float = 300,
        sample_rate: float = 1.0,
        slow_seconds: float | None = None,
        sample_secret: str = "",
    ) -> None:
        self._exclude = [re.compile(pattern).search for pattern in exclude]
        self._quiet = [(pattern, re.compile(pattern).search) for pattern in quiet]
        self._sample_rate = sample_rate
        self._sample_key = sampling_key(sample_secret)
        self._slow_seconds = slow_seconds
        self._silences = _Silences(quiet_seconds)
        self.keeps_all = not exclude and not quiet and sample_rate >= 1 and slow_seconds is None

    def decide(self, event: Event) -> str:  # noqa: C901, PLR0911 -- the rules, in their order
        """
        Return the fate of the line: ``written``, ``excluded``, ``suppressed`` or ``sampled_out``.

        Adds ``slow``, ``suppressed`` and ``sample_rate`` to *event* if they apply.
        """
        kind = event.kind
        slow = kind is None and self._slow_seconds is not None and event.duration_seconds >= self._slow_seconds
        if slow:
            event.note("slow", True)
        # Only this line reports a refusal: Django's own record was folded into it. There are few commands.
        if slow or event.outcome != "ok" or event.refusal is not None or kind == "command":
            return "written"
        rule = event.rule
        path = event.path or ""
        has_path = kind != "task"  # a task is sampled by the id of its request, so both are written, or none
        if rule is not None and rule.exclude:
            return "excluded"
        for search in self._exclude if has_path else ():
            if search(path):
                return "excluded"
        quiet = rule.quiet if rule is not None else None
        if quiet is None and self._quiet and has_path:
            quiet = next((name for name, search in self._quiet if search(path)), None)
        if quiet is not None:
            silenced = self._silences.end(quiet)
            if silenced is None:
                return "suppressed"
            if silenced:
                event.note("suppressed", silenced)
            return "written"
        rate = self._sample_rate if rule is None or rule.rate is None else rule.rate
        if rate < 1:
            if not keeps(event.request_id, rate, self._sample_key):
                return "sampled_out"
            event.note("sample_rate", rate)
        return "written"


class _Silences:
    """Remember since when each quiet group is silent, and how many of its lines were held back."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._silent: dict[str, tuple[float, int]] = {}
        _every.add(self)

    def end(self, name: str) -> int | None:
        """Return how many lines of *name* were held back, if one is due. Otherwise count this one and return None."""
        now = time.monotonic()
        with self._lock:
            since, count = self._silent.get(name, (None, 0))
            if since is not None and now - since < self._seconds:
                self._silent[name] = (since, count + 1)
                return None
            self._silent[name] = (now, 0)
            return count

    def renew_lock(self) -> None:
        """Replace the lock, because a thread that holds it at a fork is not in the child."""
        self._lock = threading.Lock()


_every: Final[weakref.WeakSet[_Silences]] = weakref.WeakSet()


def _after_fork() -> None:
    for silences in _every:
        silences.renew_lock()


call_after_fork(_after_fork)


def rule_of(view: Any) -> Rule | None:
    """Return the rule that the decorators gave *view*, or None. The outermost decorator wins."""
    # By exact type: a Mock has every attribute.
    if type(getattr(view, RULE_ATTRIBUTE, None)) is not Rule:
        return None
    try:
        return merged_rule(view)
    except TypeError:  # a view that cannot be hashed
        return merged_rule.__wrapped__(view)


@functools.lru_cache(maxsize=1024)
def merged_rule(view: Any) -> Rule:
    """Return the merged marks of *view*. Cached, because merging costs as much as an excluded request."""
    rule = Rule()
    for mark in sorted(value for value in view.__dict__.values() if type(value) is Mark):
        rule = replace(rule, **mark.said)
    # Subclasses inherit a mark on dispatch(), but each is counted as a separate view.
    of_class = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if rule.quiet is not None and isinstance(of_class, type):
        rule = replace(rule, quiet=f"{rule.quiet} of {of_class.__module__}.{of_class.__qualname__}")
    return rule
