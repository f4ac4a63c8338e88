"""
The cost of each stage of a request and of its line.

Each stage is timed on its own. Its input, the result of the earlier stages, is prepared before the clock starts. The
result is the best of many small batches.
"""

from __future__ import annotations

import functools
import gc
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from django.core.handlers.wsgi import WSGIRequest
from django.urls import resolve

from benchmarks.drivers import SYNC_PATH, environ, sync_view
from benchmarks.rows import ROWS, unchanged
from benchmarks.site import put_in_force
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.measure.event import current_event
from obs_middleware.middleware import TimingMiddleware

__all__ = ["main"]

BATCH: Final = 50


class _Keeper(logging.Handler):
    """Keep each record with the event that was current."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[logging.LogRecord, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append((record, current_event.get()))


class _Nothing(logging.Handler):
    """Drop every record."""

    def emit(self, record: logging.LogRecord) -> None:
        pass


class _Constant(logging.Formatter):
    """Format every record as the same line, so that only the write is timed."""

    def __init__(self, line: str) -> None:
        super().__init__()
        self._line = line

    def format(self, _: logging.LogRecord) -> str:
        return self._line


Best = Callable[[Callable[[], Iterable[Any]], Callable[[Any], object]], float]


def best_of(batches: int, prepare: Callable[[], Iterable[Any]], work: Callable[[Any], object]) -> float:
    """Return the microseconds that *work* takes for one item of *prepare*, in the best batch."""
    least = float("inf")
    for _ in range(batches):
        items = list(prepare())
        started = time.perf_counter_ns()
        for item in items:
            work(item)
        least = min(least, (time.perf_counter_ns() - started) / len(items))
    return least / 1000


def stages(best: Best) -> dict[str, float]:
    """Time the stages with *best* in the configured site, and return the microseconds of each."""
    root = logging.getLogger()
    (handler,) = root.handlers
    formatter = handler.formatter
    assert formatter is not None
    middleware: Any = TimingMiddleware(lambda request: sync_view(request, 7))
    match = resolve(SYNC_PATH)

    def requests() -> list[WSGIRequest]:
        made = [WSGIRequest(environ()) for _ in range(BATCH)]
        for request in made:
            request.resolver_match = match
        return made

    def begun() -> list[tuple[Any, WSGIRequest, Any]]:
        return [(middleware.begin(request), request, sync_view(request, 7)) for request in requests()]

    def kept() -> list[tuple[logging.LogRecord, Any]]:
        keeper = _Keeper()
        root.handlers[:] = [keeper]
        for request in requests():
            middleware(request)
        root.handlers[:] = [handler]
        return keeper.kept

    def format_one(item: tuple[logging.LogRecord, Any], by: logging.Formatter = formatter) -> str:
        record, event = item
        current_event.set(event)
        return by.format(record)

    result = {}
    root.setLevel(logging.WARNING)
    result["begin: the event, the id, the context"] = best(requests, middleware.begin)
    result["finish: the facts, the decision"] = best(begun, lambda item: middleware.finish(*item))
    root.setLevel(logging.INFO)
    root.handlers[:] = [_Nothing()]
    result["logging.info: the record, as far as the handler"] = best(
        lambda: ["Request took 0.0000 seconds"] * BATCH,
        logging.info,
    )
    root.handlers[:] = [handler]
    result["format: the record becomes the line"] = best(kept, format_one)
    chained = JSONFormatter(service="bench", processors=[unchanged])
    result["  the same with a processor of your own"] = best(kept, functools.partial(format_one, by=chained))
    records = kept()
    handler.setFormatter(_Constant(format_one(records[0])))
    result["write: to the file"] = best(lambda: [record for record, _ in records], handler.emit)
    handler.setFormatter(formatter)

    result["all of it in one go, with the view"] = best(requests, middleware)
    return result


def main(file: str, handler: str, batches: str = "200") -> None:
    """Print the microseconds of each stage as JSON."""
    put_in_force(ROWS["ours"], "sync", file, handler)
    gc.collect()
    gc.freeze()
    print(json.dumps(stages(functools.partial(best_of, int(batches)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
