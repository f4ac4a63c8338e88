"""
Add to the log lines of a request from your own code: `bind`, `unbind`, `annotate`, `timed`, `get_request_id`, `carry`.

Measure. All of them find the request by one ContextVar. It is visible in awaited code, sync views under ASGI, tasks
started inside the request, ``asyncio.to_thread`` and ``async_to_sync``. In threads that you start yourself, it is
visible with `carry` or the setting ``THREADS``. Outside a request they do nothing.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from obs_middleware.measure.event import Event, current_event
from obs_middleware.measure.tally import Tally
from obs_middleware.measure.vocabulary import own_name

__all__ = ["annotate", "bind", "carry", "get_request_id", "run_inside", "timed", "unbind"]

Function = TypeVar("Function", bound=Callable[..., Any])
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def bind(**fields: Any) -> None:
    """
    Add *fields* to every later log line of this request, and to the request line.

    The last value bound to a name wins. A value may be any object. It becomes JSON when a line is written, without
    evaluating or querying anything. A name that the package itself uses is renamed ``app_<name>``.
    """
    event = current_event.get()
    if event is not None:
        event.say().bound.update({own_name(name): value for name, value in fields.items()})


def unbind(*names: str) -> None:
    """
    Remove fields that `bind` added: later lines of this request do not have them, nor has the request line.

    A name that is not bound is ignored. Lines that are already written, and fields of `annotate`, stay as they are.
    """
    event = current_event.get()
    if event is not None and event.said is not None:
        for name in names:
            event.said.bound.pop(own_name(name), None)


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


def carry(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """
    Return *function* bound to the current request, so that it can run in a thread.

    ``executor.submit(carry(work), order)`` or ``Thread(target=carry(work))``: what *function* logs has the request's
    id, and its `bind`, `timed`, queries and outgoing calls count for the request. Several threads may call the result
    at once. Outside a request it is bound to none. A process cannot get it.
    """
    event = current_event.get()
    run: Callable[..., Any] = _await_inside if inspect.iscoroutinefunction(function) else run_inside
    carried: Any = functools.partial(run, event, function)
    return functools.update_wrapper(carried, function)


def run_inside(event: Event | None, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call *function* inside *event*; None is no event. The thread is left as it was: it may be one of a pool."""
    before = current_event.get()
    current_event.set(event)
    try:
        return function(*args, **kwargs)
    finally:
        current_event.set(before)


async def _await_inside(event: Event | None, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    before = current_event.get()
    current_event.set(event)
    try:
        return await function(*args, **kwargs)
    finally:
        current_event.set(before)


class timed:  # noqa: N801 -- read as a verb, used as ``with timed("stripe")``
    """
    Measure a block: ``with timed("stripe"):`` adds ``stripe_seconds`` and ``stripe_count`` to the request line.

    Blocks of the same name add up, even if they overlap in several tasks: three gathered calls of one second each give
    3 seconds and a count of 3. Each of several nested blocks counts. A block that raises counts too, and its exception
    propagates. ``async with`` does the same. Requests may share one object, and you may enter it while it is open.

    ``@timed("stripe")`` measures each call of a function, as if its body were in the block. A coroutine function is
    measured until it returns. A generator function is measured from its first item until it ends or is closed, with
    the time that its consumer takes between two items.

    Args:
        name: Prefix of the two fields, a word of your domain.

    Raises:
        TypeError: There is no name, or the decorated object is an async generator function, a class, or a static or
            class method. Both are raised when a module is imported, not in a request.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        if callable(name):
            raise TypeError('timed() needs a name: write @timed("stripe") instead of @timed.')
        self.name: str = name

    def __call__(self, function: Function) -> Function:
        """Return *function* with each of its calls measured."""
        # Imported here: it imports asyncio, and `import obs_middleware` should be cheap.
        from asgiref.sync import iscoroutinefunction  # noqa: PLC0415 -- as above

        if isinstance(function, type | staticmethod | classmethod) or not callable(function):
            raise TypeError(
                f'@timed("{self.name}") cannot measure {function!r}. Decorate a function or a method, below '
                "@staticmethod or @classmethod."
            )
        forms: tuple[Any, ...] = (function, type(function).__call__)  # that of an object may be async or a generator
        if any(map(inspect.isasyncgenfunction, forms)):
            raise TypeError(
                f'@timed("{self.name}") cannot measure the async generator {function!r}. Write '
                '"async with timed(...)" in its body.'
            )

        def call(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await function(*args, **kwargs)

        def generate(*args: Any, **kwargs: Any) -> Any:
            with self:
                return (yield from function(*args, **kwargs))

        wrapper: Callable[..., Any] = call
        if any(map(iscoroutinefunction, forms)):
            wrapper = call_async
        elif any(map(inspect.isgeneratorfunction, forms)):
            wrapper = generate
        return cast("Function", functools.update_wrapper(wrapper, function))

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
        event.said.timings.setdefault(self.name, Tally()).append(seconds)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
