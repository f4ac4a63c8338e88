"""
Make this process look like one on another system, before it imports anything else: ``OBS_SYSTEM=windows`` or ``macos``.

Python imports a module of this name when it starts, if its folder is in ``PYTHONPATH``; the folder `tests` must be
there too. So its children are simulated as well. The names are really absent. `sys.platform` is another one
only while `obs_middleware.platforms` is imported, the one module that may read it: others, for example asyncio, would
choose code that does not run here.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import select
import selectors
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

from simulated.systems import SIMULATED, System

_PLATFORMS = "obs_middleware.platforms"

_FIRST = (
    *("asyncio", "concurrent.futures.process", "logging.handlers", "multiprocessing.popen_spawn_posix", "selectors"),
    *("multiprocessing.connection", "multiprocessing.resource_tracker", "shutil", "socketserver", "ssl", "subprocess"),
)
"""Modules of the standard library whose variant for Linux needs the names while it is imported."""


class _Loader(SourceFileLoader):
    """Imports a module under another `sys.platform`."""

    def __init__(self, name: str, path: str, platform: str) -> None:
        super().__init__(name, path)
        self._platform = platform

    def exec_module(self, module: ModuleType) -> None:
        real, sys.platform = sys.platform, self._platform
        try:
            super().exec_module(module)
        finally:
            sys.platform = real


class _Finder:
    """Finds `obs_middleware.platforms` alone."""

    def __init__(self, platform: str) -> None:
        self._platform = platform

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == _PLATFORMS else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin, self._platform)
        return spec


def simulate(system: System) -> None:
    """Take away from this process what *system* lacks."""
    for name in _FIRST:
        importlib.import_module(name)
    for name in system.modules:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's way to say that there is none
    for module_name, names in system.names.items():
        module = importlib.import_module(module_name)
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    selectors.DefaultSelector = selectors.SelectSelector  # type: ignore[assignment,misc]  # of event loops
    if system.pipe_bytes is not None:
        select.PIPE_BUF = system.pipe_bytes  # type: ignore[misc]
    if system.platform == "win32":
        os.O_BINARY = 0x8000  # type: ignore[attr-defined]  # Linux ignores it
        shutil._use_fd_functions = False  # type: ignore[attr-defined]  # as there: it would need O_NONBLOCK
        for name in ("rename", "replace", "remove", "unlink"):
            setattr(os, name, _refusing_open_files(getattr(os, name)))
    sys.meta_path.insert(0, FINDER)


def _refusing_open_files(function: Callable[..., None]) -> Callable[..., None]:
    """Windows does not rename or remove a file that is open."""

    def refuse(path: Any, *arguments: Any, **keywords: Any) -> None:
        try:
            about = os.stat(path, dir_fd=keywords.get("dir_fd"), follow_symlinks=False)
        except OSError:
            about = None
        if about is not None and (about.st_dev, about.st_ino) in _open_files():
            raise PermissionError(13, "The process cannot access the file because it is being used", str(path))
        function(path, *arguments, **keywords)

    return refuse


def _open_files() -> set[tuple[int, int]]:
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 -- pathlib may not be imported yet
        try:
            about = os.fstat(int(descriptor))
        except OSError:  # that of the listing itself
            continue
        found.add((about.st_dev, about.st_ino))
    return found


_SYSTEM = SIMULATED[os.environ["OBS_SYSTEM"]]
FINDER = _Finder(_SYSTEM.platform)
simulate(_SYSTEM)
