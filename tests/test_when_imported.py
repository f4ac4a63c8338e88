"""`when_imported`: act on the import of a library, and change nothing about it."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from obs_middleware.when_imported import call_when_imported


@pytest.fixture(name="library")
def _library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = "obs_test_library"
    (tmp_path / f"{name}.py").write_text("value = 1")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


def test_the_function_is_called_once_the_module_is_there(library: str) -> None:
    seen: list[int] = []
    call_when_imported(library, lambda: seen.append(sys.modules[library].value))
    assert seen == []

    module = importlib.import_module(library)
    importlib.reload(module)

    assert seen == [1]
    assert module.__spec__ is not None
    assert module.__loader__ is module.__spec__.loader
    assert type(module.__loader__).__module__ == "_frozen_importlib_external"
    del sys.modules[library]


def test_a_look_at_the_library_is_no_import(library: str) -> None:
    seen: list[int] = []
    call_when_imported(library, lambda: seen.append(1))

    assert importlib.util.find_spec(library) is not None
    assert seen == []
    importlib.import_module(library)

    assert seen == [1]
    del sys.modules[library]


def test_a_function_is_called_once_however_often_it_was_registered(library: str) -> None:
    seen: list[int] = []

    def note() -> None:
        seen.append(1)

    for _ in range(2):
        call_when_imported(library, note)
    importlib.import_module(library)

    assert seen == [1]
    del sys.modules[library]


def test_the_function_is_called_at_once_if_the_module_is_there() -> None:
    seen: list[int] = []

    call_when_imported("json", lambda: seen.append(1))

    assert seen == [1]


def test_a_failure_of_the_function_does_not_reach_the_import(library: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError("no")

    call_when_imported(library, fail)

    assert importlib.import_module(library).value == 1
    assert f"the integration with {library} failed" in caplog.text
    del sys.modules[library]


def test_a_library_that_is_not_installed_stays_not_installed() -> None:
    call_when_imported("obs_not_installed", lambda: None)

    with pytest.raises(ModuleNotFoundError, match="obs_not_installed"):
        importlib.import_module("obs_not_installed")


def test_who_looks_at_the_library_can_read_it(library: str) -> None:
    call_when_imported(library, lambda: None)

    assert pkgutil.get_data(library, f"{library}.py") == b"value = 1"
    assert runpy.run_module(library)["value"] == 1


def test_a_module_that_is_loaded_late_calls_the_function_then(library: str) -> None:
    seen: list[int] = []
    call_when_imported(library, lambda: seen.append(1))
    spec = importlib.util.find_spec(library)
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert seen == []

    assert module.value == 1
    assert seen == [1]


class _SameIdea:
    """A finder that asks all others, as ours does."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        specs = (finder.find_spec(fullname, path, target) for finder in sys.meta_path if finder is not self)
        return next(filter(None, specs), None)


class _Old:
    """A finder from before ``find_spec``."""


@pytest.mark.parametrize(
    ("before", "after"), [([_SameIdea()], []), ([], [_SameIdea()]), ([], [_Old()])], ids=["before", "after", "old"]
)
def test_finders_of_other_packages_do_not_matter(
    library: str, before: Sequence[Any], after: Sequence[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    call_when_imported(library, lambda: seen.append(1))
    ours, *rest = sys.meta_path
    monkeypatch.setattr(sys, "meta_path", [*before, ours, *after, *rest])

    importlib.import_module(library)

    assert seen == [1]
    del sys.modules[library]


def test_a_loader_of_the_old_kind_still_loads(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        def load_module(self, name: str) -> ModuleType:
            module = sys.modules[name] = ModuleType(name)
            return module

        def find_spec(self, fullname: str, *_: Any) -> ModuleSpec | None:
            return ModuleSpec(fullname, self) if fullname == library else None  # type: ignore[arg-type]  # old

    call_when_imported(library, lambda: None)
    ours, *rest = sys.meta_path
    monkeypatch.setattr(sys, "meta_path", [ours, Old(), *rest])

    with pytest.warns(ImportWarning):
        assert type(importlib.import_module(library)) is ModuleType
    del sys.modules[library]
