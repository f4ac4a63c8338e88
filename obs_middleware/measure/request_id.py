"""
Take the id of a request from the application, by the setting ``REQUEST_ID``.

Measure. The default ids come from `measure.ids`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from obs_middleware.conf import accepts, resolve
from obs_middleware.failures import report_once
from obs_middleware.measure.ids import is_request_id, new_request_id

__all__ = ["request_id_source"]


def request_id_source(setting: str | Callable[..., Any] | None) -> Callable[[Any], str] | None:
    """
    Return a function that gives a request its id, or None if *setting* is None.

    The function never fails: if the callable of the setting raises, or returns no usable id, this is reported once, and
    the request gets a new id of this package.

    Raises:
        ImportError: *setting* is a dotted path and names nothing.
    """
    if setting is None:
        return None
    make = resolve(setting)
    takes_request = accepts(make, "request")

    def request_id(request: Any) -> str:
        try:
            made = make(request) if takes_request else make()
            text = "" if made is None else str(made)
            if is_request_id(text):
                return text
            raise ValueError(f"returned {text[:200] or made!r}; expected 1 to 128 letters, digits or _.:=+/@-")
        except BaseException as error:  # noqa: BLE001 -- it is the application's, and may raise anything
            report_once('OBS_MIDDLEWARE["REQUEST_ID"]', error)
            return new_request_id()

    return request_id
