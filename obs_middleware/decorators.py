"""
Decorators that decide whether the requests of a view are written: `quiet`, `exclude`, `sample`.

Measure. They mark a function and do not wrap it, so they work with sync and async views. A class is marked at its
``dispatch``, whose attributes Django copies to the view. A request that fails, is slow or refused, or whose client
leaves, is always written.
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
    """Write requests of *view* only if they fail, are slow or refused, or the client leaves."""
    return _mark(view, exclude=True)


def quiet(view: View) -> View:
    """Write the first request of *view*, then one per ``QUIET_SECONDS`` with the count of those held back."""
    # A number, because as_view() and method_decorator() give the views of all classes the same name.
    return _mark(view, quiet=f"quiet view {next(_numbers)}")


def sample(rate: float) -> Callable[[View], View]:
    """
    Write this share of the requests of a view. The request id decides, so that a trace stays whole.

    Args:
        rate: From 0 to 1. 0.1 keeps one request in ten, and the line says so in ``sample_rate``.

    Raises:
        ValueError: *rate* is out of range.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"sample({rate!r}): expected a number from 0 to 1 (0.2 keeps one request in five).")

    def decorate(view: View) -> View:
        return _mark(view, rate=rate)

    return decorate


def _mark(view: View, **said: Any) -> View:
    """
    Mark *view*, or the ``dispatch`` of a class.

    Each mark is a separate attribute. `functools.wraps` and ``method_decorator`` copy the attributes of the inner
    function over those of the outer one, so a single attribute would lose marks.

    Raises:
        TypeError: *view* cannot be marked, or a request would not find the mark.
    """
    if isinstance(view, type):
        if not callable(getattr(view, "dispatch", None)):
            raise TypeError(f"{view!r} is not a view: it has no dispatch(). Decorate the view that the URLconf names.")
        return method_decorator(lambda bound: _mark(bound, **said), name="dispatch")(view)
    if isinstance(view, staticmethod | classmethod | MethodType):
        raise TypeError(f"{view!r} cannot be marked. Decorate the function, below @staticmethod or @classmethod.")
    number = next(_numbers)
    try:
        setattr(view, RULE_ATTRIBUTE, _MARKED)
        setattr(view, f"{RULE_ATTRIBUTE}_{number}", Mark(number, said))
    except AttributeError:
        raise TypeError(f"{view!r} cannot be marked: it takes no attributes. Decorate a function.") from None
    merged_rule.cache_clear()
    return view
