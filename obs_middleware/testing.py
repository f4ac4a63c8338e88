"""
Test what your site logs: `capture_requests`, and the pytest fixture ``captured_requests``.

The lines are rendered as JSON and parsed again, strictly. So your test sees what a log shipper would see, whatever your
``LOGGING`` says.
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
    The request lines in the order in which they were written, each a dict in the flat schema.

    Attributes:
        logs: All other lines that were written meanwhile, as dicts too. Those of a request have its ``request_id``.
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

    Your own handlers keep working. Inside the block, the root logger lets *level* through even if you configured it not
    to. Loggers that do not propagate to the root logger are captured too.

    Args:
        level: The lowest level of the other lines, which you find in `CapturedRequests.logs`.
    """
    captured = CapturedRequests()
    handler = _Capture(captured)
    root = logging.getLogger()
    level_before = root.level
    # A record reaches exactly one of these: its own logger, or the nearest one above.
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
    Return a JSON line as a dict, parsed as strictly as the strictest shipper does.

    Raises:
        ValueError: The line is not a JSON object, or has NaN, an infinity, a lone surrogate or a duplicate key.
    """
    parsed = json.loads(line, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique_keys)
    json.dumps(parsed, ensure_ascii=False).encode()  # raises for lone surrogates
    if not isinstance(parsed, dict):
        raise ValueError(f"not a JSON object: {line[:100]!r}")  # noqa: TRY004 -- the text is wrong, not its type
    return parsed


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not valid JSON")


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is too large for a float")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError(f"duplicate key in {[key for key, _ in pairs]}")
    return result


if _HAS_PYTEST:

    @pytest.fixture
    def captured_requests() -> Iterator[CapturedRequests]:
        """Collect the request lines of the whole test, as `capture_requests` does."""
        with capture_requests() as captured:
            yield captured

    __all__ += ["captured_requests"]
