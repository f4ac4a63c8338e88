"""For tests of packs: the types of the fixtures."""

from __future__ import annotations

from collections.abc import Callable

Kept = Callable[[], list[bytes]]
"""Returns the lines of all packs, in the order of their names."""
Pack = Callable[..., list[bytes]]
"""Packs a log with options of the command, and returns the lines of all packs."""
