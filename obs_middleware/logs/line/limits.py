"""
The limits of a line and of its parts: the numbers only. `obs_middleware.logs.line.fit` applies them.

Write, a leaf. The defaults are the sizes at which pipes, shippers and stores break; docs/limits.md lists the sources.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "CORE",
    "LEAST_BYTES",
    "MAX_BYTES",
    "MAX_BYTES_PIPE",
    "MAX_DEPTH",
    "MAX_ITEMS",
    "MAX_KEY",
    "MAX_KEYS",
    "MAX_TEXT",
    "MAX_TEXT_OF",
    "MAX_TRACE_BYTES",
    "MAX_TRACE_BYTES_PIPE",
    "MAX_VALUES",
    "SHORT_TEXT",
    "TRACES",
]

MAX_BYTES: Final = 16_000
"""A line with its line feed, encoded: below the 16 KiB at which Docker and CRI cut a line in pieces."""

MAX_BYTES_PIPE: Final = 4_096
"""The same where the output is a pipe: a longer write (PIPE_BUF) is mixed with the lines of other processes."""

LEAST_BYTES: Final = 2_048
"""What a limit must be at least, for the fields that always stay."""

MAX_TEXT: Final = 1_024
"""Characters of a text; beyond it the Elastic Common Schema does not index a keyword."""

MAX_TEXT_OF: Final = {"path": 2_048, "query": 2_048, "user_agent": 512, "message": 8_191, "error_message": 8_191}
"""The texts with a limit of their own, in characters."""

SHORT_TEXT: Final = min(MAX_TEXT, *MAX_TEXT_OF.values())
"""Up to here a text is within every limit, so the limit need not be looked up."""

MAX_TRACE_BYTES: Final = 8_000
MAX_TRACE_BYTES_PIPE: Final = 2_000
TRACES: Final = frozenset({"stack_trace", "stack_info"})

MAX_KEYS: Final = 100
"""Fields of an event; Elasticsearch maps 1,000 in all."""

MAX_KEY: Final = 64
"""Characters of a key that an application chose."""

MAX_DEPTH: Final = 6
"""Levels of containers inside a field; Elasticsearch takes 20, Datadog 10. Deeper ones become their type's name."""

MAX_ITEMS: Final = 50
"""Items of a list and keys of a mapping inside a field; what is beyond is counted in a last item."""

MAX_VALUES: Final = 1_000
"""Values inside all the containers of an event together: fifty items on each of six levels would be billions."""

CORE: Final = (
    "timestamp",
    "level",
    "message",
    "event_id",
    "request_id",
    "trace_id",
    "method",
    "path",
    "route",
    "status",
    "outcome",
    "duration_seconds",
)
"""What always stays, whatever else is cut; long texts among them are shortened."""
