"""The lines that a request and its tasks really write, read as one story."""

from __future__ import annotations

import csv
import io
import logging
from pathlib import Path
from typing import Any

import pytest
from console import Run, write
from django.http import HttpRequest, HttpResponse
from loglines import FORMATS

from obs_middleware.logs.schemas import SCHEMAS
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests
from obs_middleware.work import tasks

logger = logging.getLogger("shop")


def work(lines: CapturedRequests) -> list[dict[str, Any]]:
    """Send a request that enqueues a task, which is tried twice and enqueues another; return all lines."""
    sent: list[Any] = []

    def view(request: HttpRequest) -> HttpResponse:
        logger.info("Order placed")
        sent.append(tasks.sent())
        return HttpResponse()

    request = HttpRequest()
    request.method, request.path = "POST", "/checkout/"
    request.META["HTTP_X_REQUEST_ID"] = "checkout-1"
    TimingMiddleware(view)(request)
    first = tasks.begin("shop.charge", "t-1", carried=sent[0], queue="payments", attempt=1)
    tasks.end(first, "retry", ValueError("busy"))
    second = tasks.begin("shop.charge", "t-1", carried=sent[0], queue="payments", attempt=2)
    logger.warning("Slow bank")
    sent.append(tasks.sent())
    tasks.end(second)
    with tasks.running("shop.invoice", "t-2", carried=sent[1]):
        pass
    return at_leisure(lines)


# Second of each line in the order in which they were written -> duration of its unit. Here they all run within one
# millisecond, in which the schema of Datadog knows no order.
MOMENTS = {0: None, 1: 1.5, 3: 1.0, 6: None, 7: 2.0, 9: 1.0}


def at_leisure(lines: CapturedRequests) -> list[dict[str, Any]]:
    """Return all lines, as they would be if the work took seconds."""
    written = sorted([*lines.logs, *lines], key=lambda line: str(line["timestamp"]))
    return [
        line | {"timestamp": f"2026-11-02T10:00:0{second}.000000Z"} | ({"duration_seconds": took} if took else {})
        for line, (second, took) in zip(written, MOMENTS.items(), strict=True)
    ]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_what_is_written_is_read_as_one_story(run: Run, lines: CapturedRequests, schema: str, tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [FORMATS[schema](line) for line in work(lines)])

    for wanted in ("checkout-1", "t-2"):
        code, out, err = run("request", wanted, log)

        assert (code, err) == (0, "")
        assert out.partition("\n")[0] == f"{wanted}: 1 request, 2 tasks, 1 retry"
        rows = csv.DictReader(io.StringIO(run("request", wanted, log, "--format", "csv")[1]))
        assert [(row["work"], row["result"]) for row in rows] == [
            ("POST /checkout/", "200"),
            ("│  shop", "info"),
            ("├─ shop.charge", "retry"),
            ("└─ shop.charge", "ok"),
            ("   │  shop", "warning"),
            ("   └─ shop.invoice", "ok"),
        ]
