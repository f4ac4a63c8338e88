"""
Keep or drop, and at which level.

Measure. Decided once, at the end of a request, when everything is known of it. What fails, is slow, was left, broke or
was refused is always written.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from obs_middleware.measure.event import RequestEvent

__all__ = ["Level", "Mark", "Policy", "Rule", "keeps", "level_by_status", "merged_rule", "rule_of"]

Level = Callable[[int | None, float, str], int | str]
"""``(status, duration_seconds, outcome)`` -> a level of the logging module, as number or name."""

RULE_ATTRIBUTE: Final = "_obs_middleware_rule"
"""Where a decorated view says that it has marks, by a `Rule` that says nothing else; `rule_of` reads them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """
    What is to become of a request that has nothing wrong with it.

    Attributes:
        exclude: It is not written.
        quiet: It is written once, and then once in a while; the value names what it is counted with.
        rate: The share of such requests that is written, from 0 to 1; None for the site's own.
    """

    exclude: bool = False
    quiet: str | None = None
    rate: float | None = None


class Mark(NamedTuple):
    """
    What one decorator said beside a view.

    Attributes:
        number: Counts the marks of the process; the later one is the outer one, or that of a subclass.
        said: Fields of a `Rule`.
    """

    number: int
    said: Mapping[str, Any]


def keeps(request_id: str, rate: float) -> bool:
    """Return whether sampling at *rate* keeps the request of this id: the same answer in every service that asks."""
    if rate >= 1:
        return True
    if rate <= 0:
        return False
    digest = hashlib.blake2b(request_id.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < rate * 2**64


def level_by_status(status: int | None, duration_seconds: float, outcome: str) -> int:  # noqa: ARG001 -- the signature of all levels
    """
    Return the level of ``LEVEL = "status"``.

    ERROR for 5xx and for a body that raised, WARNING for 4xx, INFO for everything else: also for 429, which is the
    limiter at work, and for 499, a client that left.
    """
    if outcome in {"error", "stream_error"}:
        return logging.ERROR
    if status is not None and 400 <= status < 500 and status not in {429, 499}:
        return logging.WARNING
    return logging.INFO


class Policy:
    """
    The decision, with the little that must be remembered for it: when a quiet line was last written.

    Attributes:
        keeps_all: Nothing is configured, so that only a decorator can keep a line back.

    Args:
        exclude: Regular expressions searched for in the path.
        quiet: The same, for paths that are written once in *quiet_seconds*.
        quiet_seconds: How long a quiet path then stays silent.
        sample_rate: Share of ordinary requests that is written.
        slow_seconds: From this duration on a request is slow; None for never.
    """

    def __init__(
        self,
        *,
        exclude: Sequence[str] = (),
        quiet: Sequence[str] = (),
        quiet_seconds: float = 300,
        sample_rate: float = 1.0,
        slow_seconds: float | None = None,
    ) -> None:
        self._exclude = [re.compile(pattern).search for pattern in exclude]
        self._quiet = [(pattern, re.compile(pattern).search) for pattern in quiet]
        self._sample_rate = sample_rate
        self._slow_seconds = slow_seconds
        self._silences = _Silences(quiet_seconds)
        self.keeps_all = not exclude and not quiet and sample_rate >= 1 and slow_seconds is None

    def decide(self, event: RequestEvent) -> str:  # noqa: C901, PLR0911 -- the rules, in their order
        """
        Return what becomes of the line: ``written``, ``excluded``, ``suppressed`` or ``sampled_out``.

        Puts ``slow``, ``suppressed`` and ``sample_rate`` on *event* where they apply.
        """
        slow = self._slow_seconds is not None and event.duration_seconds >= self._slow_seconds
        if slow:
            event.note("slow", True)
        # A refusal stands on this line alone: the record that told of it was folded into it.
        if slow or event.outcome != "ok" or event.refusal is not None:
            return "written"
        rule = event.rule
        path = event.path or ""
        if rule is not None and rule.exclude:
            return "excluded"
        for search in self._exclude:
            if search(path):
                return "excluded"
        quiet = rule.quiet if rule is not None else None
        if quiet is None and self._quiet:
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
            if not keeps(event.request_id, rate):
                return "sampled_out"
            event.note("sample_rate", rate)
        return "written"


class _Silences:
    """Since when each quiet thing is silent, and how often it would have spoken."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._silent: dict[str, tuple[float, int]] = {}
        _every.add(self)

    def end(self, name: str) -> int | None:
        """Return how many lines of *name* were held back if it is time for one again, else None and count this one."""
        now = time.monotonic()
        with self._lock:
            since, count = self._silent.get(name, (None, 0))
            if since is not None and now - since < self._seconds:
                self._silent[name] = (since, count + 1)
                return None
            self._silent[name] = (now, 0)
            return count

    def renew_lock(self) -> None:
        """Forget who holds the lock: a thread that did so at a fork is not in the child."""
        self._lock = threading.Lock()


_every: Final[weakref.WeakSet[_Silences]] = weakref.WeakSet()


def _after_fork() -> None:
    for silences in _every:
        silences.renew_lock()


os.register_at_fork(after_in_child=_after_fork)


def rule_of(view: Any) -> Rule | None:
    """Return what the decorators of `obs_middleware.decorators` said beside *view*, or None; the last word counts."""
    # By exact type: a Mock has every attribute.
    if type(getattr(view, RULE_ATTRIBUTE, None)) is not Rule:
        return None
    try:
        return merged_rule(view)
    except TypeError:  # one that cannot be hashed
        return merged_rule.__wrapped__(view)


@functools.lru_cache(maxsize=1024)
def merged_rule(view: Any) -> Rule:
    """Return what the marks of *view* say together; found once, for it costs as much as an excluded request."""
    rule = Rule()
    for mark in sorted(value for value in view.__dict__.values() if type(value) is Mark):
        rule = replace(rule, **mark.said)
    # A mark on dispatch() is that of the subclasses too, each of which is a view of its own.
    of_class = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if rule.quiet is not None and isinstance(of_class, type):
        rule = replace(rule, quiet=f"{rule.quiet} of {of_class.__module__}.{of_class.__qualname__}")
    return rule
