"""
Write one line for each management command: the setting ``COMMANDS``.

Work. `BaseCommand.execute` is wrapped, so a command is measured whether ``manage.py`` or `call_command` runs it. A
command inside a request, a task or another command is part of it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.failures import report_once
from obs_middleware.processes import SERVERS
from obs_middleware.work import unit
from obs_middleware.work.patching import Patches
from obs_middleware.work.unit import WorkEvent

__all__ = ["LEFT_OUT", "prepare"]

LEFT_OUT: Final = SERVERS | {
    # further servers and workers, of which some are commands only in old versions
    "celery",
    "daphne",
    "procrastinate",
    # shells
    "dbshell",
    "shell",
    "shell_plus",
    # tests
    "test",
}
"""The commands that ``COMMANDS = True`` leaves out: they run until somebody stops them, or write other lines."""

_TERMINATED: Final = 128 + signal.SIGTERM
"""The exit code that shells give to a process that SIGTERM has ended."""


def prepare() -> None:
    """Follow the setting ``COMMANDS`` from now on. Called when the app is ready."""
    keep_configured(_follower, lenient=True)


class _Follower:
    """
    What the setting says.

    Attributes:
        names: The names of the commands to measure. None: all but those in `LEFT_OUT`.
    """

    names: frozenset[str] | None = frozenset()

    def configure(self, settings: Settings) -> None:
        chosen = settings.commands
        self.names = (None if chosen else frozenset()) if isinstance(chosen, bool) else frozenset(chosen)
        if chosen:
            _patches.replace(BaseCommand, "execute", _execute)
        else:
            _patches.undo()

    def measures(self, name: str) -> bool:
        return name not in LEFT_OUT if self.names is None else name in self.names


_follower: Final = _Follower()
_patches: Final = Patches()


def _execute(original: Callable[..., Any]) -> Callable[..., Any]:
    def execute(self: BaseCommand, *args: Any, **options: Any) -> Any:
        event = _begin(type(self).__module__.rpartition(".")[2])
        if event is None:
            return original(self, *args, **options)
        with _ended_by_sigterm(event):
            try:
                result = original(self, *args, **options)
            except BaseException as error:
                _end(event, error)
                raise
            _end(event)
            return result

    return execute


def _begin(name: str) -> WorkEvent | None:
    if unit.is_inside_unit() or not _follower.measures(name):
        return None
    # The convention of OpenTelemetry for environment variables, and ours beside it: a cron job joins a trace.
    event = WorkEvent("command", "Command", {"command": name}, os.environ.get("REQUEST_ID"))
    return unit.begin(event, os.environ.get("TRACEPARENT"))


def _end(event: WorkEvent, error: BaseException | None = None) -> None:
    outcome, code = "ok", 0
    if isinstance(error, KeyboardInterrupt):
        outcome, code, error = "cancelled", 128 + signal.SIGINT, None
    elif isinstance(error, SystemExit):
        code = _exit_code(error.code)
        outcome, error = ("ok" if code == 0 else "error"), None
    elif error is not None:
        outcome = "error"
        # A subclass may not call its base class, and then has no such attribute.
        code = _exit_code(getattr(error, "returncode", 1)) if isinstance(error, CommandError) else 1
    event.note("exit_code", code)
    unit.end(event, outcome, error)


def _exit_code(given: object) -> int:
    """Return the exit code of ``sys.exit(given)``."""
    return int(given) if isinstance(given, int) else int(given is not None)


@contextmanager
def _ended_by_sigterm(event: WorkEvent) -> Iterator[None]:
    """
    Write the line if SIGTERM ends the process inside the block, and let the signal do what it would have done.

    A handler of the site stays alone: it decides whether the command goes on.
    """
    before = signal.getsignal(signal.SIGTERM)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not (before is signal.SIG_DFL or _flushes(before)):
        yield
        return

    def handle(number: int, _: FrameType | None) -> None:
        current = signal.getsignal(number)
        if current is not handle and not _flushes(current):
            return  # a later handler of the site calls this one, where it would have found none
        try:
            event.note("exit_code", _TERMINATED)
            unit.end(event, "cancelled")
        finally:
            signal.signal(number, before)
            signal.raise_signal(number)

    try:
        signal.signal(signal.SIGTERM, handle)
    except ValueError as error:  # not in the main interpreter
        report_once("COMMANDS", error)
        yield
        return
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is handle:
            signal.signal(signal.SIGTERM, before)


def _flushes(handler: object) -> bool:
    """Return whether *handler* is that of this package which flushes, and then lets SIGTERM end the process."""
    return type(handler).__module__.startswith("obs_middleware.")
