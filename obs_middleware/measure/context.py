"""
Add to the log lines of a request from your own code: `bind`, `annotate`, `timed`, `get_request_id`.

Measure. All of them find the request by one ContextVar. It is visible in awaited code, sync views under ASGI, tasks
started inside the request, ``asyncio.to_thread`` and ``async_to_sync``, but not in threads that you start yourself.
Outside a request they do nothing.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from obs_middleware.measure.event import current_event
from obs_middleware.measure.vocabulary import own_name

__all__ = ["annotate", "bind", "get_request_id", "timed"]


def bind(**fields: Any) -> None:
    """
    Add *fields* to every later log line of this request, and to the request line.

    The last value bound to a name wins. A value may be any object. It becomes JSON when a line is written, without
    evaluating or querying anything. A name that the package itself uses is renamed ``app_<name>``.
    """
    event = current_event.get()
    if event is not None:
        event.say().bound.update({own_name(name): value for name, value in fields.items()})


def annotate(**fields: Any) -> None:
    """
    Add *fields* to the request line only.

    Use it for facts that are needed once, not on every line. Names and values are treated as in `bind`.
    """
    event = current_event.get()
    if event is not None:
        event.say().annotations.update({own_name(name): value for name, value in fields.items()})


def get_request_id() -> str | None:
    """Return the id of the current request, or None outside a request."""
    event = current_event.get()
    return None if event is None else event.request_id


class timed:  # noqa: N801 -- read as a verb, used as ``with timed("stripe")``
    """
    Measure a block: ``with timed("stripe"):`` adds ``stripe_seconds`` and ``stripe_count`` to the request line.

    Blocks of the same name add up, even if they overlap in several tasks: three gathered calls of one second each give
    3 seconds and a count of 3. Each of several nested blocks counts. A block that raises counts too, and its exception
    propagates. ``async with`` does the same. Requests may share one object, and you may enter it while it is open.

    Args:
        name: Prefix of the two fields, a word of your domain.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name: str = name

    def __enter__(self) -> Self:
        event = current_event.get()
        if event is not None:
            event.say().starts.setdefault(self.name, []).append(time.perf_counter())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        event = current_event.get()
        if event is None or event.said is None:
            return  # outside a request, or entered there
        try:
            # The sum is the same whichever start of the request is taken, so its blocks may overlap.
            seconds = time.perf_counter() - event.said.starts[self.name].pop()
        except LookupError:
            return  # entered in another request
        # append is atomic; adding to a number in several threads of one request would lose time
        event.said.timings.setdefault(self.name, []).append(seconds)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
