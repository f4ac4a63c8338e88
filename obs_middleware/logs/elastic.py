"""
Index templates for ``ecs`` lines in Elasticsearch and OpenSearch.

Write. The templates are built from the table of the schema, so no field of the line can be missing in them.
``obs-middleware elastic-template`` prints them. `Product` names the search engines; their types and built-in templates
differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, get_args

from obs_middleware.logs.line.limits import MAX_TEXT, MAX_TEXT_OF
from obs_middleware.logs.schemas import Own, Schema, schema_named
from obs_middleware.measure.vocabulary import FIELDS

__all__ = ["COMPONENT", "PRODUCTS", "Product", "component_template", "index_template", "templates"]

Product = Literal["elasticsearch", "elasticsearch-7", "opensearch"]
"""
The search engine that takes the templates.

``elasticsearch`` is 8.13 or newer. ``elasticsearch-7`` uses only what version 7.10 has in its free edition, OSS, so
later versions take it too. ``opensearch`` is OpenSearch 2 or 3.
"""

PRODUCTS: Final[tuple[Product, ...]] = get_args(Product)
"""The names of all products."""

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


class _Dialect(NamedTuple):
    """
    The part of the templates that depends on the search engine.

    Attributes:
        tree: The mapping of a field that holds mappings and lists of any depth.
        replaced: Types of the schema that this search engine does not have, and the mappings to use instead.
        builtin: The built-in components to put before ours and after it.
        has_data_streams: Whether an index template may ask for a data stream.
    """

    tree: Mapping[str, Any]
    replaced: Mapping[str, Mapping[str, Any]] = {}
    builtin: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    has_data_streams: bool = True


_DIALECTS: Final[Mapping[Product, _Dialect]] = {
    "elasticsearch": _Dialect(
        tree={"type": "flattened", "ignore_above": _LONGEST},
        builtin=(("logs@mappings", "logs@settings"), ("ecs@mappings",)),
    ),
    "elasticsearch-7": _Dialect(
        # Stored and shown, but not searched: a mapping that grows with every key could fill the index.
        tree={"type": "object", "enabled": False},
        replaced={"wildcard": {"type": "keyword", "ignore_above": _LONGEST}, "match_only_text": {"type": "text"}},
        has_data_streams=False,
    ),
    "opensearch": _Dialect(tree={"type": "flat_object"}),
}

_DATASET: Final = re.compile(r"[a-z0-9_][a-z0-9_.+]{0,99}")
"""Source: Elastic, data stream naming scheme: lower case, without a hyphen, 100 bytes at most."""


def component_template(*, product: Product = "elasticsearch", opensearch: bool = False) -> dict[str, Any]:
    """
    Return the component template: a type for each field of the package, and rules for the application's fields.

    Fields named ``*_count`` and integers of the application become ``long``, other numbers ``double``, booleans
    ``keyword``. If a name later gets a value of another type, that value is stored without being indexed, so the store
    never refuses a line.

    Args:
        product: The search engine that takes the template, which decides the types.
        opensearch: The same as *product* ``opensearch``.
    """
    dialect = _dialect(product, opensearch=opensearch)
    schema = schema_named("ecs")
    assert schema is not None  # noqa: S101 -- for the type checker: only the flat schema has no table
    properties: dict[str, Any] = {}
    for path, kind, most in _typed(schema):
        _put(properties, path, dialect.replaced.get(kind) or _mapping(kind, most))
    for own in schema.own:
        if "tree" in own.types:
            _put(properties, own.path, dict(dialect.tree))
    return {
        "template": {
            "mappings": {
                "date_detection": False,
                "dynamic_templates": [*_rules(schema), *([] if dialect.builtin[1] else [_TEXT])],
                "properties": properties,
            }
        },
        "_meta": {"description": "The fields of an `ecs` line; made by: obs-middleware elastic-template."},
    }


def index_template(  # noqa: PLR0913 -- *opensearch* is how version 0.1 named a product
    dataset: str = "django",
    *,
    pattern: str | None = None,
    priority: int = PRIORITY,
    plain: bool = False,
    product: Product = "elasticsearch",
    opensearch: bool = False,
) -> dict[str, Any]:
    """
    Return the index template, which applies the component template to the data streams ``logs-<dataset>-<namespace>``.

    In Elasticsearch it includes the built-in components for logs, with their settings and life cycle.

    Args:
        dataset: The middle part of the name, for example the name of the service.
        pattern: Names of the streams or indices, instead of those of *dataset*.
        priority: The template with the highest priority applies if several match.
        plain: Use ordinary indices instead of data streams. ``elasticsearch-7`` always does.
        product: The search engine that takes the template; only ``elasticsearch`` has built-in components.
        opensearch: The same as *product* ``opensearch``.

    Raises:
        ValueError: *dataset* cannot be part of the name of a data stream, or *product* is not the name of a product.
    """
    if not _DATASET.fullmatch(dataset):
        raise ValueError(f"dataset is {dataset!r}; use lower-case letters, digits, `_` and `.`, for example my_shop.")
    dialect = _dialect(product, opensearch=opensearch)
    before, after = dialect.builtin
    template: dict[str, Any] = {
        "index_patterns": [pattern or f"logs-{dataset}-*"],
        "priority": priority,
        # A later component overrides an earlier one. Of the dynamic rules, the first that matches applies.
        "composed_of": [*before, COMPONENT, *after],
    }
    if dialect.has_data_streams and not plain:
        template["data_stream"] = {}
    return template


def templates(  # noqa: PLR0913 -- as index_template
    dataset: str = "django",
    *,
    pattern: str | None = None,
    priority: int = PRIORITY,
    plain: bool = False,
    product: Product = "elasticsearch",
    opensearch: bool = False,
) -> dict[str, dict[str, Any]]:
    """
    Return the requests that install the templates: API paths and bodies, in order.

    The arguments are the same as for `index_template`.
    """
    return {
        f"_component_template/{COMPONENT}": component_template(product=product, opensearch=opensearch),
        f"_index_template/logs-{dataset}": index_template(
            dataset, pattern=pattern, priority=priority, plain=plain, product=product, opensearch=opensearch
        ),
    }


def _dialect(product: Product, *, opensearch: bool) -> _Dialect:
    if product not in PRODUCTS:
        raise ValueError(f"product is {product!r}; use one of {', '.join(PRODUCTS)}.")
    return _DIALECTS["opensearch" if opensearch else product]


def _typed(schema: Schema) -> Iterator[tuple[tuple[str, ...], str, int]]:
    """Yield path, type and length of every field, except those whose names an application or a setting chooses."""
    for name, places in schema.fields.items():
        for to in places:
            kind = _kind(to.form or FIELDS[name].type)
            if kind != "object":
                yield to.path, to.store or _STORE_TYPES[kind], MAX_TEXT_OF.get(name, MAX_TEXT)
    for constants in schema.constants.values():
        for path, _ in constants:
            yield path, "keyword", MAX_TEXT
    for key, value in schema.first.items():
        if value is not None:
            yield (key,), "keyword", MAX_TEXT


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
