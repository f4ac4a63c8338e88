"""
The fields of a line that nobody asked for by name: `other_fields`.

Read. Most are the application's. A query needs the names of its columns; people want to see whatever is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from obs_middleware.read.schemas import SCHEMAS

__all__ = ["other_fields"]

_SIGNS: Final = {name: tuple(mark.decode().split('"')[1] for mark in schema.marks) for name, schema in SCHEMAS.items()}
"""Schema -> keys, one of which a line has."""
_PAIR: Final = re.compile(r'(?:^| )([^ =]+)=("(?:[^"\\]|\\.)*"|[^ ]*)')
_LITERAL: Final = re.compile(r'["\d-]|(?:true|false)$')


def other_fields(line: str, known: Collection[str]) -> dict[str, Any]:
    """
    Return the fields of a line of JSON or logfmt, in their order.

    In a schema of another system, these are the fields of the application and those that the system has no name for.

    Args:
        line: The line.
        known: The names of fields to leave out.
    """
    start = line.find('{"')
    if start >= 0:
        record = _value(line[start:])
        found = _of_json(record) if isinstance(record, dict) else iter(())
    elif "timestamp=" in line:
        found = ((name, _of_text(text)) for name, text in _PAIR.findall(line))
    else:
        return {}
    return {name: value for name, value in found if name not in known}


def _of_json(record: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    schema = next((SCHEMAS[name] for name, keys in _SIGNS.items() if not record.keys().isdisjoint(keys)), None)
    # The package has an object `obs` for fields that a system has no name for.
    for *path, key in (*schema.own, ("obs", "*")) if schema is not None else ():
        inner: Any = record
        for step in path:
            inner = inner.get(step) if isinstance(inner, dict) else None
        head = key.removesuffix("*")
        for name, value in inner.items() if isinstance(inner, dict) else ():
            if name.startswith(head) and (path != ["obs"] or not isinstance(value, dict)):
                yield name.removeprefix(head), value


def _of_text(text: str) -> Any:
    if not text:
        return None
    value = _value(text) if _LITERAL.match(text) else None
    return text.strip('"') if value is None else value


def _value(text: str) -> Any:
    """Return the value of a text of JSON, None for any other text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
