"""
Write one line for each attempt to process a message of Dramatiq.

Work. Every broker gets a middleware of Dramatiq, in front of its own. The id goes along in ``message.options``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from obs_middleware.failures import report_once
from obs_middleware.measure.event import current_event
from obs_middleware.when_imported import call_when_imported
from obs_middleware.work import tasks
from obs_middleware.work.patching import Patches
from obs_middleware.work.unit import WorkEvent

__all__ = ["prepare"]

_ATTEMPTS: Final = "retries"
"""The option in which Dramatiq's own middleware counts the retries."""

_patches: Final = Patches()


def prepare() -> None:
    """Follow the messages of all brokers that are made once the site has imported Dramatiq."""
    call_when_imported("dramatiq.broker", _connect)


def _connect() -> None:
    from dramatiq.broker import Broker  # noqa: PLC0415 -- only if the site uses it

    _patches.replace(Broker, "__init__", _init)


def _init(original: Callable[..., Any]) -> Callable[..., Any]:
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        try:
            first = {} if not self.middleware else {"before": type(self.middleware[0])}
            self.add_middleware(_middleware(), **first)
        except BaseException as error:  # noqa: BLE001 -- the broker works, whatever failed
            report_once("dramatiq.Broker", error)

    return init


def _middleware() -> Any:
    from dramatiq.middleware import Middleware  # noqa: PLC0415 -- imports the module that is waited for

    class ObsMiddleware(Middleware):
        """Begins before all other middleware, and ends after it."""

        def before_enqueue(self, _broker: Any, message: Any, _delay: Any) -> None:
            _guarded(_enqueue, message)

        def before_process_message(self, _broker: Any, message: Any) -> None:
            _guarded(_begin, message)

        def after_process_message(
            self,
            _broker: Any,
            message: Any,
            *,
            result: Any = None,  # noqa: ARG002 -- Dramatiq's signature
            exception: BaseException | None = None,
        ) -> None:
            _guarded(_end, message, exception)

        def after_skip_message(self, _broker: Any, message: Any) -> None:
            _guarded(_skip, message)

    return ObsMiddleware()


def _guarded(function: Callable[..., None], *arguments: Any) -> None:
    try:
        function(*arguments)
    except BaseException as error:  # noqa: BLE001 -- the message goes its way, whatever failed
        report_once(f"dramatiq{function.__name__}", error)


def _event_of(message: Any) -> WorkEvent | None:
    event = current_event.get()
    is_its = isinstance(event, WorkEvent) and event.names().get("task_id") == message.message_id
    return event if is_its else None  # type: ignore[return-value]  # checked in the line above


def _enqueue(message: Any) -> None:
    carried = message.options.get(tasks.CARRIER)
    event = _event_of(message)
    if event is not None:
        event.outcome = "retry"
    if carried is None:
        message.options[tasks.CARRIER] = tasks.sent()
    elif event is not None:
        # The same work again: its parent stays, its waiting begins now.
        message.options[tasks.CARRIER] = {**carried, "enqueued": tasks.sent()["enqueued"]}


def _begin(message: Any) -> None:
    tasks.begin(
        message.actor_name,
        message.message_id,
        carried=message.options.get(tasks.CARRIER),
        queue=message.queue_name,
        attempt=message.options.get(_ATTEMPTS, 0) + 1,
    )


def _end(message: Any, exception: BaseException | None) -> None:
    event = _event_of(message)
    if event is None:
        return
    outcome = event.outcome
    if exception is None:
        outcome = "ok"
    elif outcome != "retry":
        name = type(exception).__name__
        outcome = "timeout" if name == "TimeLimitExceeded" else tasks.outcome_of(exception)
        if name == "Shutdown":
            outcome = "killed"
    tasks.end(event, outcome, exception)


def _skip(message: Any) -> None:
    # AgeLimit calls a message failed; who skips it for another reason does not.
    tasks.end(_event_of(message), "expired" if message.failed else "ignored")
