"""The counts of `obs_middleware.stats`, for tests that compare them before and after."""

from __future__ import annotations

from obs_middleware import stats

Counts = dict[str, int]


def counts() -> Counts:
    """Return the counts now, by name."""
    now = stats()
    return {name: now[name] for name in now}  # type: ignore[literal-required]  # these are its own names


def changes(before: Counts) -> Counts:
    """Return the counts that changed since *before*, with the difference."""
    return {name: value - before[name] for name, value in counts().items() if value != before[name]}
