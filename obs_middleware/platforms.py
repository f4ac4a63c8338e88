"""
What the operating system has: Linux has all of it, macOS and Windows do not.

A leaf that every wing uses, and the console script. No other module asks which system it is on, or uses a name of the
standard library that one of the three lacks. Only `obs_middleware.logs.sinks.inotify` is for Linux alone; it raises
OSError elsewhere.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from obs_middleware.threads import original

if sys.platform != "win32":
    import fcntl

__all__ = [
    "APPEND",
    "CONSOLE_NEEDS_STREAM",
    "ENDING_SIGNALS",
    "LOCK_FILE",
    "PIPE_BYTES",
    "READ",
    "SHARES_MEMORY",
    "UPDATE",
    "call_in_child",
    "enable_escapes",
    "hold",
    "is_closed_pipe",
    "is_group_alive",
    "is_runnable",
    "lock",
    "process_group",
    "running_seconds",
    "sync",
    "unlock",
    "user_id",
    "wait_for",
    "waiting_seconds",
]

_IS_WINDOWS: Final = sys.platform == "win32"

# Opening a FIFO must not wait for its other end. On Windows a line feed must not be written as two characters.
_OPEN: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _OPEN
"""The flags to open a log."""

READ: Final = os.O_RDONLY | _OPEN
"""The flags to look into a log."""

LOCK_FILE: Final = os.O_RDONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | _OPEN
"""The flags to open a file for `lock`. Its folder may be open to other users, so no link is followed."""

UPDATE: Final = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | _OPEN
"""The flags to open a file that is mapped into memory."""

SHARES_MEMORY: Final = not _IS_WINDOWS
"""Whether `hold` can tell which process owns a file that is mapped into memory."""

PIPE_BYTES: Final[int] = getattr(select, "PIPE_BUF", 4_096)
"""
The largest write to a pipe that the system does not mix with those of other processes.

It is 4,096 on Linux and 512 on macOS. Windows documents no limit.
"""

CONSOLE_NEEDS_STREAM: Final = _IS_WINDOWS
"""Whether a terminal shows UTF-8 only if it is written through its stream, not through its descriptor."""

ENDING_SIGNALS: Final[tuple[int, ...]] = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
"""The signals that ask a program to end. SIGBREAK is Ctrl-Break on Windows."""


def call_in_child(hook: Callable[[], object]) -> None:
    """Call *hook* in every child process that Python forks. Windows has no fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=hook)


def user_id() -> int:
    """Return the id of the user that the process runs as; 0 on Windows."""
    return os.geteuid() if hasattr(os, "geteuid") else 0


def lock(file: int, *, wait: bool = True) -> bool:
    """
    Lock an open file against other processes, and against other descriptors of this one.

    A child shares the lock of a descriptor that it inherits. Without locks, as on Windows and on some file systems,
    nothing is locked.

    Returns:
        False if somebody else has the lock, which happens only without *wait*.
    """
    if not _IS_WINDOWS:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
    return True


def hold(file: int) -> bool:
    """
    Lock an open file against other processes until it is closed, which the end of the process does too.

    Returns:
        False if somebody else has the lock.

    Raises:
        OSError: The file system has no locks.
    """
    if not _IS_WINDOWS:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def sync(path: Path) -> None:
    """Write what the system has buffered of a file or a folder to the disk. Windows does it for files only."""
    if _IS_WINDOWS and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def process_group() -> int:
    """Return what the processes of one server have in common: the id of their group. On Windows, of this process."""
    return os.getpgid(0) if hasattr(os, "getpgid") else os.getpid()


def is_group_alive(group: int) -> bool:
    """Return whether the process group *group* has a process."""
    if not hasattr(os, "killpg"):
        return True
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is another user's
    return True


def unlock(file: int) -> None:
    """Release what `lock` has locked, if anything."""
    if not _IS_WINDOWS:
        try:
            fcntl.flock(file, fcntl.LOCK_UN)
        except OSError:
            pass


def wait_for(descriptor: int, seconds: float) -> bool:
    """
    Wait until *descriptor* can be written to; return False after *seconds*.

    Windows can wait only for sockets, so it is always True there. A write to a full pipe then waits itself.
    """
    if not hasattr(select, "POLLOUT"):
        return True
    poll = original("select", "poll")()  # gevent's would need an event loop in each thread
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))


def running_seconds(thread: int) -> float | None:
    """
    Return how long a thread of this process has run on a processor. None on macOS and Windows, and if it is gone.

    Args:
        thread: The id that the system has given it (``threading.get_native_id()``).
    """
    # Not the clock of the thread: asking for that of a thread that is gone may crash the process.
    try:
        text = Path(f"/proc/self/task/{thread}/schedstat").read_bytes()
        return int(text.split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def waiting_seconds() -> float:
    """Return how long the current thread could have run, but waited for a processor. 0 on macOS and Windows."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_bytes().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def is_runnable(thread: int) -> bool:
    """Return whether a thread runs or waits for a processor. False if it waits for all else, and if nobody knows."""
    try:
        stat = Path(f"/proc/self/task/{thread}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b") ")[2].startswith(b"R")


def is_closed_pipe(error: OSError) -> bool:
    """Return whether *error* means that the reader of a pipe has gone. Windows calls it an invalid argument."""
    return isinstance(error, BrokenPipeError) or (
        _IS_WINDOWS and error.errno == errno.EINVAL and error.filename is None
    )


def enable_escapes(stream: Any) -> bool:
    """
    Return whether *stream*, a terminal, obeys escape sequences. Windows 10 and newer do after a program asked for it.

    Source: Microsoft, "Console Virtual Terminal Sequences".
    """
    if not _IS_WINDOWS:
        return True
    try:
        import ctypes  # noqa: PLC0415 -- needed on Windows alone
        import msvcrt  # noqa: PLC0415 -- as above

        console = ctypes.c_void_p(msvcrt.get_osfhandle(stream.fileno()))  # type: ignore[attr-defined]
        kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
        mode = ctypes.c_ulong()
        if not kernel.GetConsoleMode(console, ctypes.byref(mode)):
            return False
        return bool(kernel.SetConsoleMode(console, mode.value | _ENABLE_VIRTUAL_TERMINAL_PROCESSING))
    except Exception:  # noqa: BLE001 -- a foreign stream may raise anything; a simulated Windows has no msvcrt
        return False


_ENABLE_VIRTUAL_TERMINAL_PROCESSING: Final = 4
