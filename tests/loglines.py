"""Request lines in every format that the package writes, with durations of a known distribution."""

from __future__ import annotations

import datetime as dt
import io
import json
import random
from collections.abc import Callable
from typing import Any, Final

from obs_middleware.logs.line.render import render_logfmt, render_text
from obs_middleware.logs.schemas import SCHEMAS, Translation

Event = dict[str, Any]

ROUTES: Final = (
    ("GET", "orders/<int:pk>/", "orders:detail", 0.08),
    ("GET", "", "home", 0.01),
    ("POST", "checkout/", "checkout", 0.2),
    ("GET", None, None, 0.003),
)
START: Final = dt.datetime(2026, 11, 2, 10, tzinfo=dt.UTC)


def events(number: int, seed: int = 8) -> list[Event]:
    """Return *number* request events in the flat schema, a second apart, with log-normal durations by route."""
    dice = random.Random(seed)
    return [_event(dice, n) for n in range(number)]


def _event(dice: random.Random, number: int) -> Event:
    method, route, view, median = dice.choice(ROUTES)
    seconds = round(median * dice.lognormvariate(0, 0.7), 6)
    status = 404 if route is None else dice.choices([200, 302, 500], [90, 5, 5])[0]
    event: Event = {
        "timestamp": (START + dt.timedelta(seconds=number)).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": "info",
        "logger": "root",
        "message": f"Request took {seconds:.4f} seconds",
        "event_id": f"bb50066b44bef741-{number}",
        "service": "shop",
        "request_id": f"{dice.getrandbits(128):032x}",
        "method": method,
        "path": "/nowhere/" if route is None else "/" + route.replace("<int:pk>", str(number)),
        "route": route,
        "status": status,
        "outcome": "error" if status == 500 else "ok",
        "duration_seconds": seconds,
        "db_queries": number % 5,
        "db_seconds": round(seconds / 2, 6),
        "user_id": str(number % 7),
        "tenant": f"t{number % 3}",
    }
    if view is not None:
        event["view"] = view
    if status == 500:
        event |= {"error_type": "shop.errors.Declined", "error_message": 'said "no" \\ twice'}
    return event


TASKS: Final = (("shop.tasks.charge", "payments", 1.2), ("shop.tasks.mail", "default", 0.05))
OUTCOMES: Final = ("ok", "ok", "ok", "error", "retry", "timeout", "revoked")


def tasks(number: int, seed: int = 9) -> list[Event]:
    """Return *number* task events in the flat schema, a second apart."""
    dice = random.Random(seed)
    return [_task(dice, n) for n in range(number)]


def _task(dice: random.Random, number: int) -> Event:
    task, queue, median = dice.choice(TASKS)
    outcome = dice.choice(OUTCOMES)
    return unit(
        "task",
        number,
        round(median * dice.lognormvariate(0, 0.7), 6),
        outcome,
        request_id=f"{dice.getrandbits(128):032x}",
        task=task,
        task_id=f"{dice.getrandbits(64):016x}",
        queue=queue,
        attempt=1 + number % 2,
        queue_seconds=round(dice.random(), 6),
        db_queries=number % 3,
        db_seconds=0.001,
        **({"error_type": "TimeLimitExceeded", "error_message": "300 s"} if outcome == "timeout" else {}),
    )


def unit(kind: str, number: float, seconds: float, outcome: str, **fields: Any) -> Event:
    """Return the line of a unit of work of *kind* that ends *number* seconds after `START`."""
    word = "Connection" if kind == "websocket" else kind.capitalize()
    moment = (START + dt.timedelta(seconds=number)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    event = {
        "timestamp": moment,
        "level": "error" if outcome in {"error", "timeout"} else "info",
        "logger": "root",
        "message": f"{word} took {seconds:.4f} seconds",
        "event_id": f"cc50066b44bef741-{kind}-{number}-{len(fields)}",
        **({} if kind == "request" else {"kind": kind}),
        "duration_seconds": seconds,
        "outcome": outcome,
    }
    return event | fields


def _as_json(schema: str) -> Callable[[Event], str]:
    table = SCHEMAS[schema]
    translate = None if table is None else Translation(table)
    return lambda event: json.dumps(event if translate is None else translate(None, "", event), separators=(",", ":"))


def _docker(event: Event) -> str:
    return json.dumps({"log": _as_json("flat")(event) + "\n", "stream": "stdout", "time": "2026-11-02T11:00:00.5Z"})


FORMATS: Final[dict[str, Callable[[Event], str]]] = {
    **{schema: _as_json(schema) for schema in SCHEMAS},
    "logfmt": lambda event: str(render_logfmt(None, "", event)),
    "docker": _docker,
    "cri": lambda event: f"2026-11-02T11:00:00.123456789Z stdout F {_as_json('ecs')(event)}",
    "compose": lambda event: f"web-1  | {_as_json('otel')(event)}",
    "syslog": lambda event: f"Nov  2 11:00:00 host shop[812]: {_as_json('gcp')(event)}",
}
"""The formats from which all fields can be read."""

BARE: Final[dict[str, Callable[[Event], str]]] = {
    "text": lambda event: str(render_text(None, "", event)),
    "seed": lambda event: event["message"],
    "root logger": lambda event: f"INFO:root:{event['message']}",
    "cri text": lambda event: f"2026-11-02T11:00:00.123456789Z stderr F INFO:root:{event['message']}",
    "foreign JSON": lambda event: json.dumps({"asctime": "now", "message": event["message"]}),
}
"""The formats from which only the duration can be read, with four digits."""


def written(stream: io.StringIO) -> list[str]:
    """Return the lines in *stream*."""
    return stream.getvalue().splitlines()
