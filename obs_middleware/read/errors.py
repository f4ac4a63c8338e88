"""The errors that a user can correct: the command prints the message and returns exit code 2."""

from __future__ import annotations

__all__ = ["ExpressionError", "SourceError", "UnreadableError", "UsageError"]


class UsageError(Exception):
    """A command cannot answer. The message says what is wrong and how to correct it."""


class SourceError(UsageError):
    """A file, an index or a search engine cannot be read, or has no request that counts."""


class UnreadableError(SourceError):
    """A file cannot be read. If there are others, a command goes on with them."""


class ExpressionError(UsageError, ValueError):
    """An expression, a filter or an option is invalid."""
