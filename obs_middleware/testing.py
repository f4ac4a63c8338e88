"""
Test what your site logs: `capture_requests`, and the pytest fixture ``captured_requests``.

A service of the house. The lines are rendered as they would be shipped and parsed again, strictly; so a test sees what
a log shipper would see, whatever ``LOGGING`` says.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from obs_middleware.logs.filters import FoldDjangoRequests
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.measure.event import current_event

try:
    import pytest
except ModuleNotFoundError:  # only the fixture needs it
    _HAS_PYTEST = False
else:
    _HAS_PYTEST = True

__all__ = ["CapturedRequests", "capture_requests", "parse_line"]


class CapturedRequests(list[dict[str, Any]]):
    """
    The request lines, in the order in which they were written, each a dict in the flat schema.

    Attributes:
        logs: Every other line written meanwhile, as dicts too; those of a request carry its ``request_id``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.logs: list[dict[str, Any]] = []


class _Capture(logging.Handler):
    def __init__(self, captured: CapturedRequests) -> None:
        super().__init__()
        self.captured = captured
        self.setFormatter(JSONFormatter())
        self.addFilter(FoldDjangoRequests())

    def emit(self, record: logging.LogRecord) -> None:
        event = current_event.get()
        is_request_line = event is not None and event.is_line(record.msg)
        (self.captured if is_request_line else self.captured.logs).append(parse_line(self.format(record)))


@contextmanager
def capture_requests(level: int = logging.INFO) -> Iterator[CapturedRequests]:
    """
    Collect the request lines that are written inside the ``with`` block, from every thread of the process.

    Handlers that are configured go on working. The root logger lets *level* through meanwhile, also when it is
    configured not to; loggers that keep their records from it (``propagate``) are listened to themselves.

    Args:
        level: Lowest level of the other lines that are collected in `CapturedRequests.logs`.
    """
    captured = CapturedRequests()
    handler = _Capture(captured)
    root = logging.getLogger()
    level_before = root.level
    # A record comes to the first of these above its own logger, and to no other.
    loggers = [one for one in root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    ends = [root, *(one for one in loggers if not one.propagate)]
    for end in ends:
        end.addHandler(handler)
    root.setLevel(min(level, level_before) if level_before else level)
    try:
        yield captured
    finally:
        root.setLevel(level_before)
        for end in ends:
            end.removeHandler(handler)


def parse_line(line: str) -> dict[str, Any]:
    """
    Return a JSON line as a dict, parsed as strictly as the strictest shipper.

    Raises:
        ValueError: It is not JSON, not an object, has NaN or an infinity, half a character, or a key twice.
    """
    parsed = json.loads(line, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique_keys)
    json.dumps(parsed, ensure_ascii=False).encode()  # raises for lone surrogates
    if not isinstance(parsed, dict):
        raise ValueError(f"not a JSON object: {line[:100]!r}")  # noqa: TRY004 -- the text is wrong, not its type
    return parsed


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is beyond all numbers")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError(f"duplicate key among {[key for key, _ in pairs]}")
    return result


if _HAS_PYTEST:

    @pytest.fixture
    def captured_requests() -> Iterator[CapturedRequests]:
        """Collect the request lines of the whole test; see `capture_requests`."""
        with capture_requests() as captured:
            yield captured

    __all__ += ["captured_requests"]
