"""`obs_middleware.logs.line.encode`: strict JSON, the same with orjson and without."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hostile import (
    EXAMPLES,
    names,
    values,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from records import dumps

from obs_middleware.logs.line import encode
from obs_middleware.testing import parse_line


@settings(max_examples=EXAMPLES)
@given(st.dictionaries(names, values, max_size=10))
def test_every_event_is_strict_json_and_the_same_with_and_without_orjson(event: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        for has_orjson in (True, False):
            patch.setattr(encode, "_HAS_ORJSON", has_orjson)
            lines.append(dumps(event))

    first, second = (parse_line(line) for line in lines)
    assert json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert all("\n" not in line for line in lines)
    assert all(line.encode().decode() == line for line in lines)
    own = [name for name in first if name not in {"truncated", "truncated_fields", "message"}]
    assert len(own) >= len(event) - 2  # `event` and `message` aside, every field has a key of its own
