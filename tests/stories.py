"""The lines of a story: a checkout, its tasks with a retry, a task in a task, and a task of ``django.tasks``."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from loglines import START, Event, unit

CHECKOUT: Final = "7d3cb12a90f64c0f9a6e1b2c3d4e5f60"


def said(number: float, level: str, logger: str, message: str, **fields: Any) -> Event:
    """Return a line that is not that of a unit, *number* seconds after `START`."""
    moment = (START + dt.timedelta(seconds=number)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    line = {"timestamp": moment, "level": level, "logger": logger, "message": message, "event_id": f"said-{number}"}
    return line | fields


def charge(ends: float, seconds: float, outcome: str, attempt: int, waited: float, **fields: Any) -> Event:
    """Return the line of an attempt to charge."""
    names = {"request_id": CHECKOUT, "task": "shop.tasks.charge", "task_id": "t-charge", "queue": "payments"}
    return unit("task", ends, seconds, outcome, **names, attempt=attempt, queue_seconds=waited, **fields)


WEB: Final = [
    said(0.031, "info", "shop.checkout", "Order 7 placed", request_id=CHECKOUT, method="POST", path="/checkout/"),
    unit(
        "request", 0.212, 0.212, "ok", request_id=CHECKOUT, method="POST", path="/checkout/", route="checkout/",
        status=200, db_queries=7, db_seconds=0.081, http_calls=2, http_seconds=0.095, tasks=["t-receipt", "t-stock"],
    ),
]  # fmt: skip
"""The log of the server. The tasks that ``tasks`` names have no carrier for the id of the request."""

WORKER: Final = [
    charge(1.42, 1.2, "retry", 1, 0.05, error_type="shop.errors.BankIsDown", error_message="503"),
    said(
        1.1, "warning", "shop.payments", "The bank is slow",
        request_id=CHECKOUT, task="shop.tasks.charge", task_id="t-charge",
    ),
    charge(3.27, 0.84, "ok", 2, 1.0, http_calls=1, http_seconds=0.8),
    unit(
        "task", 3.39, 0.06, "error", request_id=CHECKOUT, task="shop.tasks.invoice", task_id="t-invoice",
        parent_task_id="t-charge", queue="default", attempt=1, queue_seconds=0.1,
        error_type="OSError", error_message="disk full",
    ),
    unit(
        "task", 0.62, 0.3, "ok", request_id="of-its-own", task="shop.tasks.receipt", task_id="t-receipt",
        queue_seconds=0.15,
    ),
    said(0.5, "info", "shop.mail", "Sent", request_id="of-its-own", task="shop.tasks.receipt", task_id="t-receipt"),
]  # fmt: skip
"""The log of the workers."""

OTHERS: Final = [
    unit("task", 2.0, 0.5, "ok", request_id="another", task="shop.tasks.charge", task_id="t-charge-of-another"),
    unit("request", 1.0, 0.9, "ok", request_id="another", method="GET", path="/", status=200, tasks=["t-other"]),
    said(1.0, "info", "shop", "Nobody's"),
]
"""Lines that are not part of the story."""

TREE: Final = f"""\
{CHECKOUT}: 1 request, 4 tasks, 1 retry, 3 outgoing calls, 1 failed
3.39 s from 2026-11-02T10:00:00Z to 2026-11-02T10:00:03.390Z

     at  work                      result      took   waited  course                    details
   0 ms  POST /checkout/           200       212 ms           ██                        2 calls in 95.0 ms, 7 queries in 81.0 ms
31.0 ms  │  shop.checkout          info                                                 Order 7 placed
 220 ms  ├─ shop.tasks.charge      retry     1.20 s  50.0 ms   ██████████               attempt 1, queue payments, shop.errors.BankIsDown: 503
 1.10 s  │     shop.payments       warning                                              The bank is slow
 320 ms  ├─ shop.tasks.receipt     ok        300 ms   150 ms   ░███
 500 ms  │     shop.mail           info                                                 Sent
 2.43 s  ├─ shop.tasks.charge      ok        840 ms   1.00 s            ░░░░░░░███████  attempt 2, queue payments, 1 call in 800 ms
 3.33 s  │  └─ shop.tasks.invoice  error    60.0 ms   100 ms                        ░█  queue default, OSError: disk full
      -  └─ t-stock                -              -        -                            no line: it waits or runs, or its line was left out

░ waited  █ ran
8 lines; --format lines prints them
"""  # noqa: E501 -- the output of a command
"""What `request` shows of it."""
