"""One line of a log and its fields: `ParsedLine`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from obs_middleware.read.kinds import REQUEST, Kind

__all__ = ["ParsedLine"]


@dataclass(frozen=True, slots=True)
class ParsedLine:
    """
    A line and its fields.

    Attributes:
        text: The line as it was written.
        fields: Field -> value, None for one that the line does not have. A time is in UTC, without a zone.
        kind: The kind of the unit of work whose line it is; None for any other line.
    """

    text: str
    fields: dict[str, Any]
    kind: Kind | None

    @property
    def is_request(self) -> bool:
        """Whether it is a request line."""
        return self.kind is REQUEST

    @property
    def is_event(self) -> bool:
        """Whether it is a log line at all, and not for example a line of a traceback."""
        return self.kind is not None or self.fields["level"] is not None
