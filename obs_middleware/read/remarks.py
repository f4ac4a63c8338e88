"""What a command has to say about its files on standard error, besides its answer."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["PARTLY_READ", "Remarks"]

PARTLY_READ = 3
"""Exit code of a command that answers, although a file could not be read, or only in part."""


@dataclass(frozen=True, slots=True)
class Remarks:
    """
    Remarks about files. Append to the lists.

    Attributes:
        faults: Files that could not be read, or only in part. With one, the exit code is `PARTLY_READ`, not 0.
        notes: Anything else, for example a file that was named twice.
    """

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
