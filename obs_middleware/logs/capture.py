"""
Capture the lines that a site writes, as a log shipper would read them.

Write. `obs_middleware.testing` is the path to import it from.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from obs_middleware.logs.filters import FoldDjangoRequests
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.measure.event import current_event
from obs_middleware.measure.vocabulary import FIELDS

__all__ = ["CapturedRequest", "CapturedRequests", "capture_requests", "parse_line"]


class CapturedRequest(dict[str, Any]):
    """
    A request line: a dict in the flat schema, whose fields are attributes too.

    As an attribute, a field of the package that the line does not have is None. `db_repeats` and `blocked_seconds` are
    0 where nothing was repeated or blocked, so that you can compare them; with Django's sync client nothing is ever
    blocked. What was not measured has no attribute: the database is not without the app in ``INSTALLED_APPS``. Fields
    with the name of a method of a dict, such as ``items``, are not attributes.
    """

    def __getattr__(self, name: str) -> Any:
        """
        Return a field of the line.

        Raises:
            AttributeError: It was not measured, or neither the line nor the package has such a field.
        """
        if name in self:
            return self[name]
        if name.startswith("db_") and name in FIELDS and "db_queries" not in self:
            raise AttributeError(f'{name} was not measured: add "obs_middleware" to INSTALLED_APPS')
        if name in FIELDS:
            return _NOTHING.get(name)
        raise AttributeError(f"the request line has no field {name!r}; it has {', '.join(self)}")


_NOTHING: Final = {"db_repeats": 0, "blocked_seconds": 0.0}
"""The fields that a line has only if there was something, with the value that means nothing."""


class CapturedRequests(list[CapturedRequest]):
    """
    The request lines in the order in which they were written, each a dict in the flat schema.

    Attributes:
        logs: All other lines that were written meanwhile, as dicts too. Those of a request have its ``request_id``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.logs: list[dict[str, Any]] = []

    @property
    def one(self) -> CapturedRequest:
        """
        The only request line.

        Raises:
            AssertionError: There is none, or more than one.
        """
        if len(self) != 1:
            written = ", ".join(f"{line.get('method')} {line.get('path')}" for line in self[:_NAMED])
            raise AssertionError(f"expected one request line, got {len(self)}{f': {written}' if written else ''}")
        return self[0]


_NAMED: Final = 5


class _Capture(logging.Handler):
    def __init__(self, captured: CapturedRequests) -> None:
        super().__init__()
        self.captured = captured
        self.setFormatter(JSONFormatter())
        self.addFilter(FoldDjangoRequests())

    def emit(self, record: logging.LogRecord) -> None:
        event = current_event.get()
        is_request_line = event is not None and event.is_line(record.msg)
        line = parse_line(self.format(record))
        if is_request_line:
            self.captured.append(CapturedRequest(line))
        else:
            self.captured.logs.append(line)


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
