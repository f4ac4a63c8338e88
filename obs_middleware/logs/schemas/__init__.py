"""
The schemas: how the fields are named, typed and nested for the system that takes the lines.

Write. To add a schema, add a module with its table, one row to `SCHEMAS`, and its name to
`obs_middleware.logs.options.SchemaName`; a test compares the last two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from obs_middleware.logs.schemas.datadog import DATADOG
from obs_middleware.logs.schemas.ecs import ECS
from obs_middleware.logs.schemas.gcp import GCP
from obs_middleware.logs.schemas.otel import OTEL
from obs_middleware.logs.schemas.translation import Own, Schema, To, Translation

__all__ = ["SCHEMAS", "Own", "Schema", "To", "Translation", "schema_named"]

SCHEMAS: Final[Mapping[str, Schema | None]] = {
    "flat": None,  # our own names
    "ecs": ECS,
    "otel": OTEL,
    "datadog": DATADOG,
    "gcp": GCP,
}
"""Every schema by its name. None means that nothing is translated."""


def schema_named(name: str) -> Schema | None:
    """
    Return the table of the schema *name*; None for ``flat``.

    Raises:
        ValueError: There is no schema of that name.
    """
    if name not in SCHEMAS:
        raise ValueError(f"schema is {name!r}; expected one of {', '.join(SCHEMAS)}.")
    return SCHEMAS[name]
