"""Functions for django-q2."""

from obs_middleware import annotate


def good() -> None:
    annotate(rows=3)


def bad() -> None:
    raise ValueError("no")
