"""Lines whose figures are known: two versions of a shop, in two minutes, and what else it logged meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from obs_middleware.logs.schemas import Translation, schema_named

__all__ = ["GOLDEN", "ROUTES", "Golden", "golden_lines", "of", "took"]


class Golden(NamedTuple):
    """A request, by what is asked of it."""

    number: int
    minute: int
    version: str
    route: str | None
    status: int
    outcome: str
    milliseconds: int
    error_type: str | None = None


def _requests() -> Iterator[Golden]:
    for number in range(200):
        version = "1.0" if number < 120 else "1.1"
        minute = 0 if number < 120 else 1
        match number % 10:
            case 0:
                yield Golden(number, minute, version, "report/", 500, "error", 40 + number, "ZeroDivisionError")
            case 1:
                yield Golden(number, minute, version, None, 404, "ok", 2)
            case 2 if version == "1.1":
                yield Golden(number, minute, version, "checkout/", 502, "error", 900 + number, "shop.BankError")
            case 2 | 3 | 4:
                yield Golden(number, minute, version, "checkout/", 200, "ok", 100 + number)
            case _:
                yield Golden(number, minute, version, "products/<slug:slug>/", 200, "ok", 5 + number % 50)


GOLDEN = list(_requests())
ROUTES = {request.route for request in GOLDEN if request.route is not None}


def of(route: str) -> list[Golden]:
    """Return the requests of *route*."""
    return [request for request in GOLDEN if request.route == route]


def took(requests: list[Golden]) -> list[int]:
    """Return the durations of *requests*, in nanoseconds."""
    return [request.milliseconds * 1_000_000 for request in requests]


def golden_lines() -> Iterator[dict[str, Any]]:
    """Yield the lines in the schema of Elasticsearch: of each request its own, and one that a view wrote."""
    schema = schema_named("ecs")
    assert schema is not None
    translate = Translation(schema)
    for request in GOLDEN:
        head = {
            "timestamp": f"2026-11-02T10:{request.minute:02}:{request.number % 60:02}.{request.number:06}Z",
            "level": "info",
            "service": "shop",
            "version": request.version,
            "request_id": f"request-{request.number}",
            "method": "GET",
            "path": f"/{request.number}/",
        }
        yield translate("", "", {**head, "logger": "shop", "message": "Hello", "event_id": f"{request.number}-1"})
        failure = {"error_type": request.error_type, "error_message": "no good"} if request.error_type else {}
        fields = {
            "logger": "root",
            "message": f"Request took {request.milliseconds / 1_000:.4f} seconds",
            "event_id": f"{request.number}-2",
            "route": request.route,
            "status": request.status,
            "outcome": request.outcome,
            "duration_seconds": request.milliseconds / 1_000,
            **failure,
        }
        yield translate("", "", {**head, **fields})
