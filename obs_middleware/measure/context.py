"""
What an application says of the request it serves: `bind`, `annotate`, `timed`, `get_request_id`.

Measure. All of them find the request by one ContextVar, which is seen in awaited code, sync views under ASGI, tasks
started inside the request, ``asyncio.to_thread`` and ``async_to_sync``, and not in threads started by hand. Outside a
request they do nothing.
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
    Put *fields* on every later log line of this request, and on the request line.

    The last value bound to a name wins. Values are kept as they are and become JSON when a line is written, whatever
    they are; nothing is evaluated or queried for it. A name that the package itself uses is renamed ``app_<name>``.
    """
    event = current_event.get()
    if event is not None:
        event.say().bound.update({own_name(name): value for name, value in fields.items()})


def annotate(**fields: Any) -> None:
    """
    Put *fields* on the request line only.

    For what is worth one place in the log and not twenty. Names and values are treated as in `bind`.
    """
    event = current_event.get()
    if event is not None:
        event.say().annotations.update({own_name(name): value for name, value in fields.items()})


def get_request_id() -> str | None:
    """Return the id of the request being served here, or None outside a request."""
    event = current_event.get()
    return None if event is None else event.request_id


class timed:  # noqa: N801 -- read as a verb, used as ``with timed("stripe")``
    """
    Measure a block: ``with timed("stripe"):`` adds ``stripe_seconds`` and ``stripe_count`` to the request line.

    Blocks of one name add up, also those that overlap in several tasks: three calls of one second each, gathered, give
    3 seconds and a count of 3. Nested blocks of one name count each. A block that raises counts too; its exception goes
    on. ``async with`` does the same. One object may be entered again while it is open.

    Args:
        name: Prefix of the two fields, a word of your domain.
    """

    __slots__ = ("_starts", "name")

    def __init__(self, name: str) -> None:
        self.name: str = name
        self._starts: list[float] = []

    def __enter__(self) -> Self:
        self._starts.append(time.perf_counter())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The sum is the same for any start, so overlapping use of one object stays right.
        seconds = time.perf_counter() - self._starts.pop()
        event = current_event.get()
        if event is not None:
            # append is atomic; adding to a number from several threads of one request would lose time
            event.say().timings.setdefault(self.name, []).append(seconds)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
