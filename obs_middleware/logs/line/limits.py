"""
The limits of a line and of its parts: the numbers only. `obs_middleware.logs.line.fit` applies them.

Write, a leaf. The defaults are the sizes at which pipes, shippers and stores break; docs/reference/limits.md lists the
sources.
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
    "MAX_ROOM",
    "MAX_TEXT",
    "MAX_TEXT_OF",
    "MAX_TRACE_BYTES",
    "MAX_TRACE_BYTES_PIPE",
    "MAX_VALUES",
    "SHORT_TEXT",
    "TRACES",
]

MAX_BYTES: Final = 16_000
"""Bytes of a line with its line feed. Docker and CRI split a line at 16 KiB."""

MAX_BYTES_PIPE: Final = 4_096
"""The same for a pipe: the system may mix a longer write (PIPE_BUF) with lines of other processes."""

LEAST_BYTES: Final = 2_048
"""The smallest limit of a line that has room for `CORE`."""

MAX_TEXT: Final = 1_024
"""Characters of a text. The Elastic Common Schema does not index a longer keyword."""

MAX_TEXT_OF: Final = {"path": 2_048, "query": 2_048, "user_agent": 512, "message": 8_191, "error_message": 8_191}
"""Texts with another limit, in characters."""

SHORT_TEXT: Final = min(MAX_TEXT, *MAX_TEXT_OF.values())
"""A text of this length is within every limit, so no limit has to be looked up."""

MAX_TRACE_BYTES: Final = 8_000
MAX_TRACE_BYTES_PIPE: Final = 2_000
TRACES: Final = frozenset({"stack_trace", "stack_info"})

MAX_ROOM: Final = 40_000
"""Characters of all texts of a line of ``console`` together. Beyond it, a text has at most `SHORT_TEXT` characters."""

MAX_KEYS: Final = 100
"""Fields of an event. Elasticsearch maps at most 1,000 in an index."""

MAX_KEY: Final = 64
"""Characters of a key that an application chose."""

MAX_DEPTH: Final = 6
"""Levels of containers inside a field. Elasticsearch takes 20, Datadog 10. Deeper values become their type's name."""

MAX_ITEMS: Final = 50
"""Items of a list and keys of a mapping inside a field. A last item has the number of the others."""

MAX_VALUES: Final = 1_000
"""Values inside all containers of an event: 50 items on each of 6 levels would be billions."""

CORE: Final = (
    "timestamp",
    "level",
    "message",
    "event_id",
    "request_id",
    "trace_id",
    "kind",
    "task",
    "task_id",
    "command",
    "method",
    "path",
    "route",
    "status",
    "outcome",
    "duration_seconds",
)
"""The fields that are never dropped. Their texts may be shortened."""
