"""Lines that are written twice: in the flat schema and in another."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable

import pytest
from translated import TABLES, Lines, Written

from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.options import SchemaName
from obs_middleware.testing import parse_line


@pytest.fixture(name="schema", params=list(TABLES))
def _schema(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="written")
def _written() -> Written:
    """Write every line twice, flat and in a schema, to two stream handlers."""
    root = logging.getLogger()
    root.setLevel("INFO")

    def write(schema: SchemaName) -> Callable[[], Lines]:
        streams = []
        names: tuple[SchemaName, ...] = ("flat", schema)
        for name in names:
            stream = io.StringIO()
            handler = logging.StreamHandler(stream)
            handler.setFormatter(JSONFormatter(schema=name, service="shop", version="1.2", environment="test"))
            root.addHandler(handler)
            streams.append(stream)
        return lambda: list(
            zip(*([parse_line(line) for line in s.getvalue().splitlines()] for s in streams), strict=True)
        )

    return write
