"""
The policy said beside the view: `quiet`, `exclude`, `sample`.

Measure. They mark a function and do not wrap it, so sync and async views are the same to them; a class is marked at its
``dispatch``, whose attributes Django hands on to the view. A request that fails, is slow, was left or refused is
written whatever they say.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import MethodType
from typing import Any, Final, TypeVar

from django.utils.decorators import method_decorator

from obs_middleware.measure.policy import RULE_ATTRIBUTE, Mark, Rule, merged_rule

__all__ = ["exclude", "quiet", "sample"]

View = TypeVar("View", bound=Callable[..., Any])

_numbers: Final = itertools.count(1)
_MARKED: Final = Rule()


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


def _mark(view: View, **said: Any) -> View:
    """
    Mark *view*, or the ``dispatch`` of a class.

    Each mark is an attribute of its own: those who copy attributes from one function to another, as `functools.wraps`
    and ``method_decorator`` do, let the inner one win, and so all are left.

    Raises:
        TypeError: It cannot be marked, or not so that the request would find it.
    """
    if isinstance(view, type):
        if not callable(getattr(view, "dispatch", None)):
            raise TypeError(f"{view!r} is not a view: it has no dispatch(). Decorate the view that the URLconf names.")
        return method_decorator(lambda bound: _mark(bound, **said), name="dispatch")(view)
    if isinstance(view, staticmethod | classmethod | MethodType):
        raise TypeError(f"{view!r} cannot be marked. Decorate the function itself, below @staticmethod and the like.")
    number = next(_numbers)
    try:
        setattr(view, RULE_ATTRIBUTE, _MARKED)
        setattr(view, f"{RULE_ATTRIBUTE}_{number}", Mark(number, said))
    except AttributeError:
        raise TypeError(f"{view!r} cannot be marked: it takes no attributes. Decorate a function.") from None
    merged_rule.cache_clear()
    return view
