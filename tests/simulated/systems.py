"""
What other systems lack: the modules and names of the standard library that Linux has, and Windows or macOS has not.

The lists are from the notes on availability in the documentation of Python 3.11 to 3.14. Names that only pytest and the
standard library use are left out: on Linux, they would fail without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["SIMULATED", "System"]


@dataclass(frozen=True)
class System:
    """
    A system to simulate.

    Attributes:
        platform: Its ``sys.platform``.
        modules: The modules that it lacks.
        names: The names that it lacks, by module.
        pipe_bytes: Its ``select.PIPE_BUF``; None if it has none.
    """

    platform: str
    modules: tuple[str, ...]
    names: Mapping[str, tuple[str, ...]]
    pipe_bytes: int | None


SIMULATED: Final[Mapping[str, System]] = {
    "windows": System(
        platform="win32",
        modules=("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"),
        names={
            "os": (
                *("O_CLOEXEC", "O_DIRECTORY", "O_DSYNC", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC"),
                *("fork", "forkpty", "register_at_fork", "wait", "wait3", "wait4", "killpg", "setsid", "nice"),
                *("pread", "preadv", "pwrite", "pwritev", "readv", "writev", "sendfile", "pipe2", "fchown", "chown"),
                *("mkfifo", "mknod", "openpty", "ttyname", "ctermid", "geteuid", "getegid", "getgroups", "getpgid"),
                *("statvfs", "fstatvfs", "getloadavg", "confstr"),
            ),
            "select": ("PIPE_BUF", "epoll", "poll", "POLLIN", "POLLOUT", "EPOLLIN", "EPOLLOUT"),
            "signal": (
                *("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGUSR1", "SIGUSR2"),
                *("alarm", "pause", "pthread_kill", "pthread_sigmask", "setitimer", "sigpending", "sigwait"),
            ),
            "time": ("clock_gettime", "pthread_getcpuclockid", "tzset"),
        },
        pipe_bytes=None,
    ),
    "macos": System(
        platform="darwin",
        modules=("spwd",),
        names={
            "os": (
                *("copy_file_range", "eventfd", "fdatasync", "getrandom", "memfd_create", "pidfd_open", "pipe2"),
                *("posix_fadvise", "posix_fallocate", "splice", "O_DIRECT", "O_PATH"),
            ),
            "select": ("epoll", "EPOLLIN", "EPOLLOUT"),
            "signal": ("SIGPOLL", "SIGPWR", "SIGRTMAX", "SIGRTMIN", "SIGSTKFLT", "sigtimedwait", "sigwaitinfo"),
            "time": ("CLOCK_BOOTTIME", "CLOCK_TAI"),
        },
        pipe_bytes=512,
    ),
}
"""By the name in the environment variable ``OBS_SYSTEM``."""
