"""Describe the machine and the versions that were measured, without which a figure means nothing."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

__all__ = ["describe", "python", "versions"]

_PACKAGES: Final = (
    "obs-middleware",
    "django",
    "asgiref",
    "structlog",
    "orjson",
    "python-json-logger",
    "ecs-logging",
    "django-guid",
    "django-structlog",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-django",
    "uvicorn",
    "granian",
    "gunicorn",
)


def describe() -> str:
    """Return the processor, the number of cores and the operating system on one line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, {os.cpu_count()} cores, {platform.system()}"


def python() -> str:
    """Return the version of Python without its last part, such as 3.13."""
    return ".".join(platform.python_version_tuple()[:2])


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that are compared."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
