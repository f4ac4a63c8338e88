"""
Do something when the site imports a library, and nothing if it never does.

A leaf that every wing uses. An installed library that nobody uses must not cost each start of a process the time of its
import.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from obs_middleware.failures import report_once

__all__ = ["call_when_imported"]


def call_when_imported(name: str, function: Callable[[], None]) -> None:
    """
    Call *function* once the module *name* has been imported; now, if it is imported already.

    The function must not raise; if it does, that is reported once, and the import goes on.
    """
    if name in sys.modules:
        _call(name, function)
        return
    functions = _finder.waiting.setdefault(name, [])
    if function not in functions:
        functions.append(function)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def _call(name: str, function: Callable[[], None]) -> None:
    try:
        function()
    except BaseException as error:  # noqa: BLE001 -- the import of the site goes on, whatever failed
        report_once(f"the integration with {name}", error)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that are waited for by asking the other finders, and adds a call to their import."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Callable[[], None]]] = {}
        self._searching: set[tuple[int, str]] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        search = (threading.get_ident(), fullname)
        if fullname not in self.waiting or search in self._searching:
            return None
        self._searching.add(search)  # another finder may do the same, and then asks this one
        try:
            spec = _found_by_others(fullname, path, target)
        finally:
            self._searching.discard(search)
        # A loader of the old kind, without exec_module(), stays alone.
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader, self.waiting)
        return spec


def _found_by_others(fullname: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        # As in Python's own search, a finder may be too old to have the method.
        find_spec = None if finder is _finder else getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = None if find_spec is None else find_spec(fullname, path, target)
        if spec is not None:
            return spec
    return None


class _Loader(importlib.abc.Loader):
    """Loads a module with its own loader, which it then gets back. Until then, it has the methods of that loader."""

    def __init__(self, loader: Any, waiting: dict[str, list[Callable[[], None]]]) -> None:
        self._loader = loader
        self._waiting = waiting

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__.get("_loader"), name)  # its source, its data, its code

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)  # type: ignore[no-any-return]  # a loader of any kind

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        # Not in find_spec(), by which a site may only look whether a library is installed.
        for function in self._waiting.pop(module.__name__, ()):
            _call(module.__name__, function)


_finder: Final = _Finder()
