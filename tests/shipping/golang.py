"""
The programs in Go that the tests run: the OpenTelemetry collector and VictoriaLogs, each built once per machine.

A build takes minutes, so the program is kept outside the clone, in ``~/.cache/obs_middleware`` or below
``XDG_CACHE_HOME``. The name of its folder has a digest of all that it is built from, so a new version is built anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

__all__ = ["COLLECTOR", "PROGRAMS", "VICTORIA_LOGS", "Program", "build", "built", "missing"]

OLDEST: Final = (1, 26, 5)
"""The version of Go that the modules ask for."""

_ENVIRONMENT: Final = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}


@dataclass(frozen=True)
class Program:
    """
    A program and what it is built from.

    Attributes:
        name: The name of the program.
        modules: Modules with their versions. A program without sources is the only one of its module.
        sources: The files of its main package.
    """

    name: str
    modules: tuple[str, ...]
    sources: tuple[Path, ...] = ()


_HERE: Final = Path(__file__).resolve().parent

COLLECTOR: Final = Program(
    "otelcol",
    tuple((_HERE / "otelcol" / "modules.txt").read_text().split()),
    (_HERE / "otelcol" / "main.go",),
)
VICTORIA_LOGS: Final = Program("victoria-logs", ("github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@v1.52.1",))
PROGRAMS: Final = (COLLECTOR, VICTORIA_LOGS)


def missing() -> str | None:
    """Return why nothing can be built here; None if it can."""
    wanted = ".".join(map(str, OLDEST))
    if shutil.which("go") is None:
        return f"no Go here, and {wanted} or newer is needed"
    said = subprocess.run(["go", "env", "GOVERSION"], check=True, capture_output=True, text=True).stdout
    if tuple(map(int, re.findall(r"\d+", said)[:3])) < OLDEST:
        return f"{said.strip()} is too old, {wanted} or newer is needed"
    return None


def built(program: Program) -> Path | None:
    """Return the path of *program*; None if `build` has not built it."""
    path = _place(program)
    return path if path.is_file() else None


def build(program: Program) -> Path:
    """
    Build *program* unless that was done before, and return its path.

    Takes minutes, a gigabyte of memory and two of disk, most of it in the caches of Go.

    Raises:
        RuntimeError: It cannot be built, for example because a module cannot be fetched.
    """
    path = _place(program)
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="part-", dir=path.parent) as folder:
        part = Path(folder)
        if program.sources:
            _build_sources(program, part)
        else:
            _go(part, "install", *program.modules, env={"GOBIN": folder})
        # Another clone may have built the same meanwhile: this replaces it in one step.
        (part / program.name).replace(path)
    return path


def _build_sources(program: Program, part: Path) -> None:
    source = part / "source"
    source.mkdir()
    for path in program.sources:
        shutil.copy(path, source)
    _go(source, "mod", "init", program.name)
    _go(source, "get", *program.modules)
    _go(source, "mod", "tidy")
    # Without the tables for a debugger, which are a third of the program.
    _go(source, "build", "-trimpath", "-ldflags", "-s -w", "-o", str(part / program.name), ".")


def _go(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> None:
    environment = {**os.environ, **_ENVIRONMENT, **(env or {})}
    command = ["go", *arguments]
    found = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    if found.returncode:
        raise RuntimeError(f"go {arguments[0]}: {found.stderr}")


def _place(program: Program) -> Path:
    digest = sha256("\n".join(program.modules).encode())
    for path in program.sources:
        digest.update(path.read_bytes())
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "obs_middleware" / f"{program.name}-{digest.hexdigest()[:16]}" / program.name
