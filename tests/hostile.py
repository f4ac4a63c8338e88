"""
Values that break naive formatters, and events with such values.

Two sources make them. Hypothesis reduces a failure to the smallest event that still fails. `Mischief` makes a hundred
times as many events in the same time; ``OBS_HOSTILE_EVENTS`` sets their number for each schema.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import os
import random
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from django.http import HttpRequest, QueryDict
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy
from hypothesis import strategies as st

from obs_middleware.measure.event import Event

EVENTS = int(os.environ.get("OBS_HOSTILE_EVENTS", "200"))
SEED = os.environ.get("OBS_HOSTILE_SEED") or str(random.randrange(10**9))
EXAMPLES = min(max(15, EVENTS // 100), 1_000)


class Colour(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "lies"


@dataclasses.dataclass
class Point:
    x: int
    y: Any


class Raising:
    def __repr__(self) -> str:
        raise ValueError("no")

    __str__ = __repr__


class RaisingItems(dict[str, Any]):
    def items(self) -> Any:
        raise ValueError("no")


class RaisingIteration(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        raise BaseException("no")


class RaisingClass:
    @property
    def __class__(self) -> Any:
        raise AssertionError("evaluated")

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise AssertionError("evaluated")


class RaisingName(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in {"__module__", "__qualname__"}:
            raise ValueError("no")
        return super().__getattribute__(name)


class Nameless(metaclass=RaisingName):
    pass


class RaisingHash(type):
    """Its classes have no hash, so ``issubclass`` with an abstract class raises: it caches its answers by hash."""

    def __hash__(cls) -> int:
        raise ValueError("no")


class Hashless(metaclass=RaisingHash):
    pass


class RaisingGet(dict[str, Any]):
    def get(self, *_: Any) -> Any:
        raise ValueError("no")

    items = pop = __getitem__ = __iter__ = keys = get  # every way to read it fails


def cycle() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


def explosion() -> list[Any]:
    """Return a list that contains itself fifty times: without a limit, each level multiplies the values by fifty."""
    items: list[Any] = []
    items.extend([items] * 50)
    return items


def lazy_user() -> Any:
    def fetch() -> Any:
        raise AssertionError("evaluated")

    return SimpleLazyObject(fetch)


long_texts = st.builds(
    lambda text, count: text * count, st.text(st.characters(), min_size=1, max_size=8), st.integers(100, 5000)
)

MAKERS: list[Callable[[], Any]] = [
    cycle,
    explosion,
    lazy_user,
    Raising,
    RaisingClass,
    lambda: RaisingItems(a=1),
    lambda: RaisingIteration([1]),
    Nameless,
    Hashless,
    object,
    HttpRequest,
    lambda: (letter for letter in "ab"),
]
"""Hypothesis draws an index into this list, because it inspects drawn values and some of these break when inspected."""

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**62, max_value=2**66)
    | st.floats()
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs", "Cc"]))
    | long_texts
    | st.binary()
    | st.decimals()
    | st.uuids()
    | st.datetimes()
    | st.dates()
    | st.timedeltas()
    | st.sampled_from([Colour.RED, Number.ONE, Text("x"), gettext_lazy("x"), QueryDict("a=1&a.b=2")])
    | st.integers(0, len(MAKERS) - 1).map(lambda number: MAKERS[number]()),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(st.text() | st.integers() | st.booleans() | st.none() | st.tuples(st.integers()), inner)
        | st.builds(Point, st.integers(), inner)
    ),
    max_leaves=20,
)
"""Any value."""

SHADOWS = (
    [
        "a",
        "a.b",
        "a.b.c",
        "a_b",
        ".",
        "error",
        "log",
        "log.level",
        "http",
        "event.id",
        "@timestamp",
        "ecs.version",
        "dd",
    ],
    ["labels", "app", "obs", "attributes", "httpRequest", "logging.googleapis.com/labels", "_id", "", "x" * 200],
)

names = (
    st.sampled_from([name for part in SHADOWS for name in part])
    | st.text(st.characters())
    | st.builds(lambda number: f"key{number}", st.integers(0, 10**6))
)
"""Any name that an application may give."""


class Mischief:
    """
    Makes random hostile values; the same *seed* makes the same values.

    Args:
        seed: Any text.
    """

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def text(self) -> str:
        alphabets = (
            "abc._-@ =\"'\\\\",
            "\0\n\r\x1b\x7f\x85\u2028\u202e",
            "\ud800\udfff",
            "é漢\U0001f600\u0301",
            "\x1f\x1e",
        )
        alphabet = self.random.choice(alphabets)
        size = self.random.choice((0, 1, 5, 30, 300, 3_000, 20_000) if self.random.random() < 0.1 else (0, 1, 5, 30))
        return "".join(self.random.choices(alphabet, k=min(size, 30))) * max(1, size // 30)

    def name(self) -> str:
        known = [name for part in SHADOWS for name in part]
        return self.random.choice(known) if self.random.random() < 0.5 else self.text()

    def value(self, depth: int = 2) -> Any:  # noqa: PLR0911 -- one return for each kind
        draw = self.random
        kind = draw.randrange(14 if depth else 9)
        if kind < 3:
            return self.text()
        if kind == 3:
            return draw.choice((0, -1, 2**63, 2**63 - 1, -(2**63) - 1, 10**5000, True, False, None, 2**53 + 1))
        if kind == 4:
            return draw.choice((0.1, -0.0, 1e-7, 1e300, float("nan"), float("inf"), float("-inf"), 5e-324))
        if kind == 5:
            return draw.choice(OBJECTS)
        if kind == 6:
            return draw.randbytes(draw.choice((0, 1, 10, 5_000)))
        if kind == 7:
            return draw.choice(MAKERS)()
        if kind == 8:
            return self.name()
        if kind < 11:
            return [self.value(depth - 1) for _ in range(self.count())]
        if kind == 11:
            return tuple(self.value(depth - 1) for _ in range(2))
        if kind == 12:
            return Point(1, self.value(depth - 1))
        keys: list[Callable[[], Any]] = [
            self.name,
            lambda: draw.randrange(3),
            lambda: None,
            lambda: (1, "a"),
            lambda: b"\xff",
        ]
        return {draw.choice(keys)(): self.value(depth - 1) for _ in range(self.count())}

    def count(self) -> int:
        return 60 if self.random.random() < 0.02 else self.random.choice((0, 1, 3))

    def fields(self, most: int) -> dict[str, Any]:
        return {self.name(): self.value() for _ in range(self.random.randrange(most + 1))}


OBJECTS = (
    Colour.RED,
    Number.ONE,
    Text("x"),
    gettext_lazy("x"),
    QueryDict("a=1&a.b=2"),
    decimal.Decimal("NaN"),
    uuid.UUID(int=1),
    dt.datetime(2026, 11, 2, tzinfo=dt.UTC),
    dt.timedelta(days=-1, microseconds=1),
    Exception("\ud800"),
    frozenset({1}),
    memoryview(b"\0"),
    range(3),
    dict,
    Point,
)


NOT_EXTRA = {"message", "asctime"}
"""Names that ``logging`` refuses in ``extra=``."""


def hostile_event(method: str, path: str, bound: dict[str, Any], *, on_the_request_line: bool) -> Event:
    event = Event(0.0, "id", method, path)
    event.say().bound.update(bound)
    if on_the_request_line:
        event.message = "Request took 0.1234 seconds"
        event.route = path
        event.status = 200
    return event
