"""Marks for tests of what some systems lack, real or simulated ones (`simulated.systems`)."""

from __future__ import annotations

import os
import select
import sys
from typing import Final

import pytest

__all__ = ["FIFO", "FORK", "INOTIFY", "NOT_WINDOWS", "RENAMING"]

_IS_WINDOWS: Final = "windows" in {sys.platform.replace("win32", "windows"), os.environ.get("OBS_SYSTEM")}

FORK: Final = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
FIFO: Final = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
INOTIFY: Final = pytest.mark.skipif(not hasattr(select, "epoll"), reason="no inotify here")
RENAMING: Final = pytest.mark.skipif(_IS_WINDOWS, reason="no renaming of open files here")
NOT_WINDOWS: Final = pytest.mark.skipif(_IS_WINDOWS, reason="not on Windows")
