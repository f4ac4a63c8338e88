"""
Index templates for ``ecs`` lines in Elasticsearch and OpenSearch.

Write. The templates are built from the table of the schema, so no field of the line can be missing in them.
``obs-middleware elastic-template`` prints them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from obs_middleware.logs.line.limits import MAX_TEXT, MAX_TEXT_OF
from obs_middleware.logs.schemas import Own, Schema, schema_named
from obs_middleware.measure.vocabulary import FIELDS

__all__ = ["COMPONENT", "component_template", "index_template", "templates"]

COMPONENT: Final = "obs-middleware"
"""The name of the component template."""

PRIORITY: Final = 200
"""The priority of the index template. Elasticsearch's own template for ``logs-*-*`` has 100."""

_LONGEST: Final = 8_191
"""Characters of a term: at most 32,764 bytes of UTF-8, which is below Lucene's limit of 32,766."""

# The JSON type that a form begins with -> the type in the store.
_STORE_TYPES: Final = {
    "string": "keyword",
    "integer": "long",
    "number": "double",
    "boolean": "boolean",
    "array": "keyword",  # a store has no type for arrays: every field may have several values
}

_TEXT: Final = {"text": {"match_mapping_type": "string", "mapping": {"type": "keyword", "ignore_above": MAX_TEXT}}}
"""A rule for the texts that shippers add. In Elasticsearch, ``ecs@mappings`` has this rule already."""

_DATASET: Final = re.compile(r"[a-z0-9_][a-z0-9_.+]{0,99}")
"""Source: Elastic, data stream naming scheme: lower case, without a hyphen, 100 bytes at most."""


def component_template(*, opensearch: bool = False) -> dict[str, Any]:
    """
    Return the component template: a type for each field of the package, and rules for the application's fields.

    Fields named ``*_count`` and integers of the application become ``long``, other numbers ``double``, booleans
    ``keyword``. If a name later gets a value of another type, that value is stored without being indexed, so the store
    never refuses a line.

    Args:
        opensearch: Use OpenSearch's ``flat_object`` instead of Elasticsearch's ``flattened``.
    """
    schema = schema_named("ecs")
    assert schema is not None  # noqa: S101 -- for the type checker: only the flat schema has no table
    properties: dict[str, Any] = {}
    for path, mapping in _typed(schema):
        _put(properties, path, mapping)
    for own in schema.own:
        if "tree" in own.types:
            tree = {"type": "flat_object"} if opensearch else {"type": "flattened", "ignore_above": _LONGEST}
            _put(properties, own.path, tree)
    return {
        "template": {
            "mappings": {
                "date_detection": False,
                "dynamic_templates": [*_rules(schema), *([_TEXT] if opensearch else [])],
                "properties": properties,
            }
        },
        "_meta": {"description": "The fields of an `ecs` line; made by: obs-middleware elastic-template."},
    }


def index_template(
    dataset: str = "django",
    *,
    pattern: str | None = None,
    priority: int = PRIORITY,
    plain: bool = False,
    opensearch: bool = False,
) -> dict[str, Any]:
    """
    Return the index template, which applies the component template to the data streams ``logs-<dataset>-<namespace>``.

    In Elasticsearch it includes the built-in components for logs, with their settings and life cycle.

    Args:
        dataset: The middle part of the name, for example the name of the service.
        pattern: Names of the streams or indices, instead of those of *dataset*.
        priority: The template with the highest priority applies if several match.
        plain: Use ordinary indices instead of data streams.
        opensearch: Leave out the components that only Elasticsearch has.

    Raises:
        ValueError: *dataset* cannot be part of the name of a data stream.
    """
    if not _DATASET.fullmatch(dataset):
        raise ValueError(f"dataset is {dataset!r}; use lower-case letters, digits, `_` and `.`, for example my_shop.")
    builtin: tuple[list[str], list[str]] = (
        ([], []) if opensearch else (["logs@mappings", "logs@settings"], ["ecs@mappings"])
    )
    template: dict[str, Any] = {
        "index_patterns": [pattern or f"logs-{dataset}-*"],
        "priority": priority,
        # A later component overrides an earlier one. Of the dynamic rules, the first that matches applies.
        "composed_of": [*builtin[0], COMPONENT, *builtin[1]],
    }
    if not plain:
        template["data_stream"] = {}
    return template


def templates(
    dataset: str = "django",
    *,
    pattern: str | None = None,
    priority: int = PRIORITY,
    plain: bool = False,
    opensearch: bool = False,
) -> dict[str, dict[str, Any]]:
    """
    Return the requests that install the templates: API paths and bodies, in order.

    The arguments are the same as for `index_template`.
    """
    return {
        f"_component_template/{COMPONENT}": component_template(opensearch=opensearch),
        f"_index_template/logs-{dataset}": index_template(
            dataset, pattern=pattern, priority=priority, plain=plain, opensearch=opensearch
        ),
    }


def _typed(schema: Schema) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield path and mapping of every field, except those whose names an application or a setting chooses."""
    for name, places in schema.fields.items():
        for to in places:
            kind = _kind(to.form or FIELDS[name].type)
            if kind != "object":
                yield to.path, _mapping(to.store or _STORE_TYPES[kind], MAX_TEXT_OF.get(name, MAX_TEXT))
    for path, _ in schema.request_line:
        yield path, _mapping("keyword")
    for key, value in schema.first.items():
        if value is not None:
            yield (key,), _mapping("keyword")


def _rules(schema: Schema) -> Iterator[dict[str, Any]]:
    """Yield the dynamic templates; the first that matches a field applies."""
    for name, places in schema.fields.items():
        for to in places:
            if _kind(to.form or FIELDS[name].type) == "object":
                yield _rule(name, ".".join(to.path), "string", _mapping("keyword"))
    for own in schema.own:
        yield from _own_rules(own)


def _own_rules(own: Own) -> Iterator[dict[str, Any]]:
    below = ".".join(own.path)
    if "text" in own.types:
        yield _rule(below, below, "string", _mapping("keyword"))
    if "number" in own.types:
        # A name may be bound as 1, 1.5 and true. A keyword takes any value. ignore_malformed keeps a value that is not
        # a number in the line without indexing it. coerce=False does not round a count that has a fraction.
        count = {"type": "long", "coerce": False, "ignore_malformed": True}
        number = {"type": "double", "ignore_malformed": True}
        yield _rule(f"{below}_count", below, "long", count, names="*_count")
        yield _rule(f"{below}_integer", below, "long", number)
        yield _rule(f"{below}_number", below, "double", number)
        yield _rule(f"{below}_boolean", below, "boolean", _mapping("keyword"))


def _rule(name: str, below: str, kind: str, mapping: dict[str, Any], names: str = "*") -> dict[str, Any]:
    return {name: {"path_match": f"{below}.{names}", "match_mapping_type": kind, "mapping": mapping}}


def _kind(form: str) -> str:
    """Return the JSON type at the beginning of *form*."""
    return re.split(r"\W", form, maxsplit=1)[0]


def _mapping(kind: str, most: int = MAX_TEXT) -> dict[str, Any]:
    if kind == "keyword":
        return {"type": kind, "ignore_above": most}
    return {"type": kind, "ignore_above": _LONGEST} if kind == "wildcard" else {"type": kind}


def _put(properties: dict[str, Any], path: tuple[str, ...], mapping: Mapping[str, Any]) -> None:
    """Put *mapping* at *path*; a store reads a dot inside a key as a level."""
    *above, last = ".".join(path).split(".")
    for key in above:
        properties = properties.setdefault(key, {"properties": {}})["properties"]
    properties[last] = mapping
