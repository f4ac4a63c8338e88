"""Lines of a shop with planted faults, in the flat schema: the reason why each of its routes is slow is known."""

from __future__ import annotations

import random
from typing import Any, Final

from loglines import Event, unit

N_PLUS_ONE: Final = "shop/views.py:88 in order_lines"
BLOCKED: Final = "shop/views.py:31 in thumbnail"
CAUGHT: Final = "shop/views.py:57 in checkout"


def faulty(number: int = 200, seed: int = 5) -> list[Event]:
    """
    Return *number* requests of each route, a second apart.

    - ``orders/``: the more lines an order has, the more often one statement runs.
    - ``thumbnail/``: one request in eight blocks the event loop.
    - ``checkout/``: a timed block, ``bank``, which is slow for every fifth request, and is caught.
    - ``queued/``: is always the same, and waits before it begins.
    - ``plain/``: no field tells where the time goes.
    """
    dice = random.Random(seed)
    made = [make(dice, n) for n in range(number) for make in (_order, _thumbnail, _checkout, _queued, _plain)]
    return [event | {"event_id": f"ab50066b44bef741-{n}"} for n, event in enumerate(made)]


def _request(dice: random.Random, number: int, route: str, seconds: float, **fields: Any) -> Event:
    return unit(
        "request",
        number,
        round(seconds, 6),
        "ok",
        request_id=f"{dice.getrandbits(128):032x}",
        method="GET",
        path=f"/{route}",
        route=route,
        status=200,
        **fields,
    )


def _order(dice: random.Random, number: int) -> Event:
    lines = 40 if number % 10 == 0 else 2
    database = lines * 0.005 * dice.uniform(0.9, 1.1)
    repeated = {"db_repeats": lines, "db_repeated_at": N_PLUS_ONE} if lines >= 10 else {"db_repeats": lines}
    return _request(
        dice,
        number,
        "orders/",
        0.02 * dice.uniform(0.8, 1.2) + database,
        db_queries=lines + 3,
        db_seconds=database,
        **repeated,
    )


def _thumbnail(dice: random.Random, number: int) -> Event:
    own = 0.01 * dice.uniform(0.8, 1.2)
    if number % 8:
        return _request(dice, number, "thumbnail/", own, db_queries=1, db_seconds=0.002)
    blocked = 0.3 * dice.uniform(0.9, 1.1)
    return _request(
        dice,
        number,
        "thumbnail/",
        own + blocked,
        db_queries=1,
        db_seconds=0.002,
        blocked_seconds=round(blocked, 6),
        blocked_at=BLOCKED,
    )


def _checkout(dice: random.Random, number: int) -> Event:
    slow = number % 5 == 0
    bank = (1.5 if slow else 0.05) * dice.uniform(0.9, 1.1)
    caught = {"slow_at": CAUGHT, "slow": True} if slow else {}
    return _request(
        dice, number, "checkout/", bank + 0.02, db_queries=4, db_seconds=0.004, bank_seconds=round(bank, 6), **caught
    )


def _queued(dice: random.Random, number: int) -> Event:
    return _request(
        dice, number, "queued/", 0.05, db_queries=1, db_seconds=0.001, queue_seconds=round(dice.random(), 6)
    )


def _plain(dice: random.Random, number: int) -> Event:
    return _request(dice, number, "plain/", 0.03 * dice.lognormvariate(0, 0.8))
