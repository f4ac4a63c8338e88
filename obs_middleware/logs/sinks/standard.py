"""
Choose between stdout and stderr: the lines of a management command must not mix with its own output.

Write. The choice is made when a handler or formatter is created, because only then it is known what the process does.
"""

from __future__ import annotations

import sys
from pathlib import PurePath
from types import FrameType
from typing import Any, Final

from obs_middleware.logs.options import OutputName, StreamName
from obs_middleware.processes import SERVERS

__all__ = ["stream_named"]

_PYTEST_PLUGIN: Final = "obs_middleware.pytest_plugin"
"""Only pytest imports it. An environment variable of pytest would also be set in the servers that a test starts."""


def stream_named(name: OutputName) -> StreamName:
    """
    Return *name*, or the stream that ``auto`` means in this process.

    That is ``stderr`` in a management command that is not one of `SERVERS`, and under pytest. It is ``stdout``
    everywhere else.
    """
    if name != "auto":
        return name
    if _PYTEST_PLUGIN in sys.modules:
        return "stderr"
    command = _management_command()
    return "stdout" if command is None or command in SERVERS else "stderr"


def __getattr__(name: str) -> Any:
    """Return the stream that ``auto`` means now as ``STREAM``, for ``ext://`` in the dict of any handler."""
    if name == "STREAM":
        return getattr(sys, stream_named("auto"))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _management_command() -> str | None:
    """Return the name of the management command that the process was started for, or None."""
    arguments = _arguments_of_django(sys._getframe())  # noqa: SLF001 -- inspect.currentframe() without the import
    if arguments is None:
        arguments = list(getattr(sys, "argv", ()))
        if not arguments or not _is_django(PurePath(arguments[0])):
            return None
    return arguments[1] if len(arguments) > 1 else None


def _arguments_of_django(frame: FrameType | None) -> list[str] | None:
    """
    Return the arguments of the `ManagementUtility` that is running, or None.

    Logging is configured below its ``execute``. A script of any name may call that, with any arguments.
    """
    utility = getattr(sys.modules.get("django.core.management"), "ManagementUtility", None)
    if utility is not None:
        while frame is not None:
            if frame.f_code is utility.execute.__code__:
                return list(frame.f_locals["self"].argv)
            frame = frame.f_back
    return None


def _is_django(program: PurePath) -> bool:
    """Return whether *program* runs management commands. A child of multiprocessing has the arguments of its parent."""
    return program.stem in {"manage", "django-admin"} or program.parts[-2:] == ("django", "__main__.py")
