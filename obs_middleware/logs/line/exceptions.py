"""
Turn an exception into the fields ``error_type``, ``error_message`` and ``stack_trace``.

Write. An exception is a foreign object: its ``__str__`` may raise anything, and its fields are still written.
"""

from __future__ import annotations

import traceback
from types import TracebackType

from obs_middleware.failures import raise_interrupt
from obs_middleware.measure.event import Event

__all__ = ["ExcInfo", "error_fields", "exception_fields"]

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def error_fields(event: Event) -> dict[str, str]:
    """
    Return ``error_type`` and ``error_message`` of the exception that *event* holds.

    Without an exception they describe its refusal, such as a bad host name. Returns an empty dict without either.
    """
    error = event.refusal if event.error is None else event.error
    if isinstance(error, str):
        return {"error_message": error}
    return {} if error is None else _name_and_message(error)


def exception_fields(exc_info: ExcInfo) -> dict[str, str]:
    """
    Return ``error_type``, ``error_message`` and ``stack_trace`` of an exception.

    The trace includes chained exceptions, groups and notes, and never a local variable.
    """
    kind, error, trace = exc_info
    try:
        stack = "".join(traceback.format_exception(kind, error, trace))
    except BaseException as failure:  # noqa: BLE001 -- __str__ of a foreign exception may raise anything
        raise_interrupt(failure)
        stack = "".join(traceback.format_tb(trace))
    return {**_name_and_message(error), "stack_trace": stack.rstrip("\n")}


def _name_and_message(error: BaseException) -> dict[str, str]:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except BaseException as failure:  # noqa: BLE001 -- as above
        raise_interrupt(failure)
        message = ""
    return {"error_type": name, "error_message": message}
