"""
The option values that `logging_config` and the formatters take, as types.

Type checkers report a misspelt value, and the checks at run time read the same lists.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["ForeignFormatter", "Format", "OutputName", "SchemaName", "StreamName"]

SchemaName = Literal["flat", "ecs", "otel", "datadog", "gcp"]
"""The names of the schemas; `obs_middleware.logs.schemas.SCHEMAS` has the same, in the same order."""

Format = Literal["json", "console", "logfmt", "text", "auto"]
"""The formats of `logging_config`; ``auto`` is one of the first two."""

ForeignFormatter = Literal["python-json-logger", "ecs-logging"]
"""The formatters of other packages that `logging_config` knows by the package's name."""

StreamName = Literal["stdout", "stderr"]
"""The standard streams that lines can go to."""

OutputName = Literal["stdout", "stderr", "auto"]
"""A standard stream, or ``auto``: stderr in a management command, stdout in a server."""
