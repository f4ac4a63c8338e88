"""Report data for tests: one day of a shop with random requests, counted in plain Python."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, Final, NamedTuple

from obs_middleware.read.answers import Bin, Count, ErrorRow, Group, HeatMap, Lines, Quantiles, Slice, SlowRequest
from obs_middleware.read.bands import PLACES, Band, Bands, Place, Places
from obs_middleware.read.show.page.data import ReportData
from obs_middleware.read.why import Part, Reason

START = dt.datetime(2026, 11, 23, 6, tzinfo=dt.UTC)
HOURS = 18
SLICES = 72
EDGES = tuple(0.001 * 10 ** (step / 6) for step in range(25))


class Kind(NamedTuple):
    """A route of the shop: its share of the requests, and the median and the logarithmic spread of its durations."""

    method: str
    route: str | None
    path: str
    weight: float
    median: float
    sigma: float
    fails: float = 0.0
    error: tuple[str, str] = ("", "")


KINDS = [
    Kind("GET", "", "/", 220, 0.018, 0.45),
    Kind("GET", "products/", "/products/", 260, 0.034, 0.5),
    Kind("GET", "products/<int:pk>/", "/products/{}/", 540, 0.026, 0.55, 0.0005, ("DataError", "value out of range")),
    Kind(
        "GET", "search/", "/search/", 170, 0.120, 0.8, 0.004, ("OperationalError", "canceling statement due to timeout")
    ),
    Kind("POST", "cart/add/", "/cart/add/", 130, 0.041, 0.4, 0.001, ("IntegrityError", "duplicate key value")),
    Kind("GET", "cart/", "/cart/", 110, 0.030, 0.4),
    Kind("POST", "checkout/", "/checkout/", 34, 0.420, 0.55, 0.022, ("PaymentTimeout", "bank did not answer in 3 s")),
    Kind("GET", "api/orders/", "/api/orders/", 95, 0.052, 0.6),
    Kind(
        "POST", "api/orders/", "/api/orders/", 26, 0.098, 0.5, 0.006, ("ValidationError", "quantity: must be positive")
    ),
    Kind("GET", "api/orders/<uuid:id>/", "/api/orders/6f{:04}-b1/", 60, 0.022, 0.4),
    Kind("GET", "account/", "/account/", 40, 0.038, 0.4),
    Kind("POST", "accounts/login/", "/accounts/login/", 30, 0.210, 0.25),
    Kind("GET", "media/<path:name>", "/media/p{}.webp", 150, 0.004, 0.5),
    Kind("GET", "export/orders.csv", "/export/orders.csv", 0.6, 6.5, 0.5, 0.08, ("MemoryError", "")),
    Kind("PATCH", "staff/stock/<int:pk>/", "/staff/stock/{}/", 0.5, 0.085, 0.3),
    Kind("GET", None, "/wp-login.php", 18, 0.003, 0.3),
]


class Drawn(NamedTuple):
    """One request of the day."""

    time: dt.datetime
    kind: Kind
    path: str
    status: int
    outcome: str
    seconds: float
    db_seconds: float
    queries: int
    request_id: str
    user_id: str | None


@cache
def shop(requests: int = 20_000) -> ReportData:
    """Return the report of a day with a rush at noon, and a slow database in the afternoon."""
    drawn = sorted(_draw(random.Random(8), requests))
    return count_up(drawn)


def _draw(source: random.Random, requests: int) -> Iterable[Drawn]:
    for _ in range(requests):
        while True:
            hour = source.random() * HOURS
            if source.random() < 0.25 + 0.75 * math.exp(-(((hour - 6.5) / 3) ** 2)) + 0.3 * math.exp(
                -((hour - 13) ** 2)
            ):
                break
        kind = source.choices(KINDS, [kind.weight for kind in KINDS])[0]
        trouble = 9.0 < hour < 9.4
        seconds = source.lognormvariate(math.log(kind.median), kind.sigma)
        database = source.uniform(0.1, 0.6)
        if trouble and kind.median > 0.02:
            seconds, database = seconds + source.lognormvariate(math.log(1.1), 0.6), 0.9
        failed = source.random() < kind.fails * (12 if trouble else 1)
        left = not failed and seconds > 3 and source.random() < 0.3
        status = 500 if failed else 499 if left else 404 if kind.route is None else 302 if "login" in kind.path else 200
        yield Drawn(
            START + dt.timedelta(hours=hour),
            kind,
            kind.path.format(source.randrange(1, 4000)),
            status,
            "error" if failed else "cancelled" if left else "ok",
            round(seconds, 6),
            round(seconds * database, 6),
            source.randrange(1, 14),
            f"{source.getrandbits(128):032x}",
            str(source.randrange(1, 900)) if source.random() < 0.4 else None,
        )


def lines_of_the_day(requests: int = 20_000) -> list[str]:
    """Return the log of the same day: the lines of `shop`, and others between them."""
    found = []
    for number, one in enumerate(sorted(_draw(random.Random(8), requests))):
        event = {
            "timestamp": one.time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": "error" if one.outcome == "error" else "info",
            "logger": "root",
            "message": f"Request took {one.seconds:.4f} seconds",
            "event_id": f"3d5a8e0c1b2f4967-{number}",
            "service": "shop",
            "request_id": one.request_id,
            "method": one.kind.method,
            "path": one.path,
            "route": one.kind.route,
            "status": one.status,
            "outcome": one.outcome,
            "duration_seconds": one.seconds,
            "db_queries": one.queries,
            "db_seconds": one.db_seconds,
            "user_id": one.user_id,
        }
        if one.outcome == "error":
            event |= dict(zip(("error_type", "error_message"), one.kind.error, strict=True))
        found.append(json.dumps({key: value for key, value in event.items() if value is not None or key == "route"}))
        if number % 7 == 0:
            found.append(json.dumps({**event, "level": "warning", "message": "the stock is low"} | _NOT_A_REQUEST))
    return [*found, "Watching for file changes with StatReloader"]


_NOT_A_REQUEST: Final = {"outcome": None, "duration_seconds": None, "status": None}


def quantiles(durations: Iterable[float]) -> Quantiles:
    """Return the quantiles by linear interpolation."""
    known = sorted(durations)
    if not known:
        return Quantiles(0)

    def at(share: float) -> float:
        place = share * (len(known) - 1)
        low = math.floor(place)
        high = min(low + 1, len(known) - 1)
        return known[low] + (known[high] - known[low]) * (place - low)

    return Quantiles(len(known), at(0.5), at(0.9), at(0.95), at(0.99), at(0.999), known[-1], sum(known) / len(known))


def count_up(drawn: Sequence[Drawn]) -> ReportData:
    """Return the report of the requests *drawn*, sorted by time."""
    total = sum(one.seconds for one in drawn)
    by_route: dict[tuple[str, str | None], list[Drawn]] = {}
    by_failure: dict[tuple[str, int, str | None], list[Drawn]] = {}
    for one in drawn:
        by_route.setdefault((one.kind.method, one.kind.route), []).append(one)
        if one.outcome == "error":
            by_failure.setdefault((one.kind.error[0], one.status, one.kind.route), []).append(one)
    step = dt.timedelta(hours=HOURS) / SLICES
    times = tuple(START + step * number for number in range(SLICES + 1))
    columns: list[list[Drawn]] = [[] for _ in range(SLICES)]
    for one in drawn:
        columns[(one.time - START) // step].append(one)
    statuses = Counter(f"{one.status // 100}xx" for one in drawn)
    outcomes = Counter(one.outcome for one in drawn)
    errors = outcomes["error"]
    return ReportData(
        title="shop",
        sources=("/var/log/shop/access.log", "/var/log/shop/access.log.1.gz"),
        lines=Lines(
            read=len(drawn) + 3118,
            requests=len(drawn),
            kinds=(
                Count("other log lines", 2984),
                Count("skipped, not understood", 134),
            ),
        ),
        requests=len(drawn),
        errors=errors,
        durations=quantiles(one.seconds for one in drawn),
        first=drawn[0].time,
        last=drawn[-1].time,
        generated=START + dt.timedelta(days=1),
        filters=("--since 18h",),
        statuses=tuple(Count(name, statuses[name]) for name in sorted(statuses)),
        outcomes=tuple(Count(name, number) for name, number in outcomes.most_common()),
        histogram=tuple(
            Bin(low, high, sum(low <= one.seconds < high for one in drawn)) for low, high in pairwise(EDGES)
        ),
        heat_map=HeatMap(times, EDGES, tuple(tuple(_in_ranges(column)) for column in columns)),
        course=tuple(
            Slice(
                start,
                end,
                len(column),
                sum(one.outcome == "error" for one in column),
                quantiles(one.seconds for one in column),
            )
            for start, end, column in zip(times[:-1], times[1:], columns, strict=True)
        ),
        routes=tuple(
            sorted(
                (
                    Group(
                        (method, route),
                        len(rows),
                        sum(one.outcome == "error" for one in rows),
                        sum(one.seconds for one in rows),
                        sum(one.seconds for one in rows) / total,
                        quantiles(one.seconds for one in rows),
                    )
                    for (method, route), rows in by_route.items()
                ),
                key=lambda row: -(row.share or 0),
            )
        ),
        slowest=tuple(
            SlowRequest(
                one.seconds,
                {
                    "timestamp": one.time,
                    "method": one.kind.method,
                    "path": one.path,
                    "route": one.kind.route,
                    "status": one.status,
                    "outcome": one.outcome,
                    "db_seconds": one.db_seconds,
                    "db_queries": one.queries,
                    "request_id": one.request_id,
                    "user_id": one.user_id,
                },
            )
            for one in sorted(drawn, key=lambda one: -one.seconds)[:25]
        ),
        failures=tuple(
            sorted(
                (
                    ErrorRow(
                        len(rows),
                        name,
                        rows[-1].kind.error[1],
                        status,
                        "error",
                        (rows[-1].kind.method, route),
                        rows[-1].time,
                        rows[-1].request_id,
                    )
                    for (name, status, route), rows in by_failure.items()
                ),
                key=lambda row: -row.count,
            )
        ),
        reasons=reasons(),
        reasons_total=len(by_route),
    )


def reasons(place: str = "shop/views.py:88 in order_lines", block: str = "bank") -> tuple[Reason, ...]:
    """Return why two routes are slow: a statement that runs again and again, and a timed block."""
    nothing = {name: Places() for name in PLACES}
    queries = Places((Place(place, 40, 38.0, 52.0, 41.0),), elsewhere=3)
    slow, ordinary = Band(20, 0.31, known={"db_seconds": 20, "http_seconds": 0}), Band(90, 0.09)
    database = Part("database", "db_seconds", 0.22, 0.04, 0.82, n=20)
    outgoing = Part("outgoing calls", "http_seconds", None, None, n=0)
    rest = Part("the rest", None, 0.09, 0.05, 0.18)
    bank = Part(block, f"{block}_seconds", 0.4, 0.02, 0.9, chance=True, n=2)
    unclear = Part("unclear", None, 0.1, 0.05, 0.1)
    return (
        Reason(
            ("GET", "orders/<int:pk>/"),
            180,
            Bands(slow, ordinary),
            (database, outgoing, rest),
            compared=True,
            places=nothing | {"db_repeated_at": queries},
        ),
        Reason(
            ("POST", "checkout/"),
            20,
            Bands(Band(2, 0.5, known={"db_seconds": 0, "http_seconds": 0}), Band(10, 0.07)),
            (bank, unclear),
            compared=True,
            places=nothing | {"slow_at": Places((Place(place, 2, 0.5, 0.6),))},
        ),
    )


def _in_ranges(column: Sequence[Drawn]) -> Iterable[int]:
    for low, high in pairwise(EDGES):
        yield sum(low <= one.seconds < high for one in column)


HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "\"'><svg/onload=alert(3)>",
    "]]>--><!--<iframe src=javascript:alert(4)>",
    "\x1b[31mred\x1b[0m\x00\r\n\x07",
    "\u202egnp.exe \u200b\u2028\u2029",
    "half a pair: \udc80, \\x1b logged as such, &lt;b&gt; &amp;",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
    "a" * 5000,
    "javascript:alert(5)",
    "=cmd|' /C calc'!A0",
)
"""Texts that an attacker may put into paths and ids."""


def hostile() -> ReportData:
    """Return the report of the shop with a hostile value in every text."""

    def texts(row: SlowRequest | ErrorRow, turn: int) -> dict[str, Any]:
        return {
            field.name: HOSTILE[(turn + place) % len(HOSTILE)]
            for place, field in enumerate(dataclasses.fields(row))
            if str(field.type).startswith("str")
        }

    data = shop()
    return dataclasses.replace(
        data,
        title=HOSTILE[0],
        sources=HOSTILE,
        filters=HOSTILE,
        statuses=tuple(Count(text, 1) for text in HOSTILE),
        outcomes=tuple(Count(text, 1) for text in HOSTILE),
        lines=Lines(9, 9, kinds=tuple(Count(text, 1) for text in HOSTILE)),
        routes=tuple(
            dataclasses.replace(row, keys=(HOSTILE[turn % len(HOSTILE)], HOSTILE[(turn + 1) % len(HOSTILE)]))
            for turn, row in enumerate(data.routes)
        ),
        slowest=tuple(dataclasses.replace(row, **texts(row, turn)) for turn, row in enumerate(data.slowest)),
        failures=tuple(dataclasses.replace(row, **texts(row, turn)) for turn, row in enumerate(data.failures * 3)),
        reasons=tuple(
            dataclasses.replace(row, keys=(HOSTILE[turn], HOSTILE[turn + 1]))
            for turn, text in enumerate(HOSTILE[:-1])
            for row in reasons(text, text)
        ),
    )
