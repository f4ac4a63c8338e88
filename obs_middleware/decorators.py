"""
The policy said beside the view: `quiet`, `exclude`, `sample`.

Measure. They mark the view and do not wrap it, so sync and async views, and classes by ``method_decorator`` on
``dispatch``, are all the same to them. A request that fails, is slow, was left or refused is written whatever they say.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from obs_middleware.policy import RULE_ATTRIBUTE, Rule, rule_of

__all__ = ["exclude", "quiet", "sample"]

View = TypeVar("View", bound=Callable[..., Any])

_numbers: Final = itertools.count(1)


def exclude(view: View) -> View:
    """Write requests of *view* only when they fail, are slow, or are left or refused."""
    return _mark(view, exclude=True)


def quiet(view: View) -> View:
    """Write the first request of *view*, then one in ``QUIET_SECONDS`` with the count of those held back."""
    # Not by the view's name: what as_view() and method_decorator() make is called the same for every class.
    return _mark(view, quiet=f"quiet view {next(_numbers)}")


def sample(rate: float) -> Callable[[View], View]:
    """
    Write this share of the requests of a view; by request id, so that a trace stays whole.

    Args:
        rate: From 0 to 1; 0.1 keeps one request in ten, and says so on the line.

    Raises:
        ValueError: The rate is out of range.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"sample({rate!r}): expected a number from 0 to 1 (0.2 keeps one request in five).")

    def decorate(view: View) -> View:
        return _mark(view, rate=rate)

    return decorate


def _mark(view: View, **changes: Any) -> View:
    setattr(view, RULE_ATTRIBUTE, replace(rule_of(view) or Rule(), **changes))
    return view
