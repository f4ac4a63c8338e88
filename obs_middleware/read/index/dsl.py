"""
Conditions in the query language of Elasticsearch and OpenSearch: `query`.

Read. A condition that the query language cannot express raises `ExpressionError`; it is never translated partially.
Null means the same as in SQL: where a field is missing, neither a comparison nor its opposite holds.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.where.conditions import Compared, Condition, Every, Has, Missing, Not, Some

__all__ = ["IndexField", "Query", "lucene", "query"]

Query = dict[str, Any]

NUMBERS: Final = frozenset(
    {"long", "integer", "short", "byte", "unsigned_long", "double", "float", "half_float", "scaled_float"}
)
TEXTS: Final = frozenset({"keyword", "constant_keyword", "wildcard"})
TIMES: Final = frozenset({"date", "date_nanos"})


@dataclass(frozen=True, slots=True)
class IndexField:
    """
    A field of an index.

    Attributes:
        name: Its name.
        type: Its type.
        nanoseconds: Whether it contains nanoseconds, where the flat schema has seconds.
    """

    name: str
    type: str
    nanoseconds: bool = False


_OPPOSITE: Final = {"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "~": "!~", "!~": "~"}
_BOUND: Final = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_ALWAYS: Final[Query] = {"match_all": {}}
_NEVER: Final[Query] = {"match_none": {}}

Find = Callable[[str], IndexField | None]


def query(condition: Condition, find: Find) -> Query:
    """
    Return *condition* as a query.

    Args:
        condition: The condition.
        find: Returns the index's field for a field, or None if no line has it, so that it counts as null.

    Raises:
        ExpressionError: The query language cannot express *condition*.
    """
    return _query(condition, find, holds=True)


def _query(condition: Condition, find: Find, *, holds: bool) -> Query:
    match condition:
        case Not(of=inner):
            return _query(inner, find, holds=not holds)
        case Every(of=parts) | Some(of=parts):
            every = isinstance(condition, Every) is holds
            queries = [_query(part, find, holds=holds) for part in parts] or [_ALWAYS if every else _NEVER]
            if every:
                return {"bool": {"filter": queries}}
            return {"bool": {"should": queries, "minimum_should_match": 1}}
        case Has(field=name, value=value):
            # A search engine looks at each value of a list.
            return _query(Compared(name, "=" if holds else "<>", value), find, holds=True)
        case Missing(field=name):
            found = find(name)
            exists: Query = _NEVER if found is None else {"exists": {"field": found.name}}
            return {"bool": {"must_not": [exists]}} if holds else exists
        case Compared(field=name, operator=operator):
            found = find(name)
            return _NEVER if found is None else _compared(condition, operator if holds else _OPPOSITE[operator], found)


def _compared(condition: Compared, operator: str, found: IndexField) -> Query:
    if operator in {"<>", "!~"}:
        opposite = _compared(condition, _OPPOSITE[operator], found)
        return {"bool": {"filter": [{"exists": {"field": found.name}}], "must_not": [opposite]}}
    if operator == "~":
        if found.type not in TEXTS:
            raise ExpressionError(
                f"{condition.field} is {found.type} in the index: a regular expression needs a keyword field"
            )
        return {"regexp": {found.name: {"value": lucene(str(condition.value)), "flags": "NONE"}}}
    value = _value(condition, operator, found)
    if operator == "=":
        return {"term": {found.name: {"value": value}}}
    return {"range": {found.name: {_BOUND[operator]: value}}}


def _value(condition: Compared, operator: str, found: IndexField) -> str | float | bool:
    """Return the value to compare a field of this type with."""
    match condition.value:
        case str(text) if found.type in TIMES:
            return _time(condition.field, text)
        case str(text) if found.type in TEXTS or (found.type == "ip" and operator == "="):
            return text
        case bool(truth) if found.type == "boolean" or found.type in TEXTS:
            return truth if found.type == "boolean" else str(truth).lower()
        case float(number) if found.type in NUMBERS:
            # A duration is a whole number of nanoseconds there, and the product may be a little off.
            return round(number * 1e9) if found.nanoseconds else int(number) if number.is_integer() else number
        case float(number) if found.type in TEXTS and operator == "=" and number.is_integer():
            return str(int(number))
    raise ExpressionError(
        f"{condition.field} is {found.type} in the index: it cannot be compared with {operator} {condition.value!r}"
    )


def _time(field: str, text: str) -> str:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ExpressionError(f"{field} is a time: compare it with a time, not with {text!r}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC).isoformat()


# Regular expressions. Those of Lucene always match the whole value, and have fewer features.

_PIECE: Final = re.compile(
    r"""\\(?P<class>[dw]) | \\(?P<escaped>[^\w\s]) | (?P<set>\[\^?(?:\\[^\w\s]|\\[dw]|[^\]\\])*\])
    | (?P<syntax>\((?:\?:)? | [).|*+?] | \{\d+(?:,\d*)?\}) | (?P<literal>[^\\\[\](){}.|*+?^$])""",
    re.VERBOSE | re.DOTALL,
)
_CLASSES: Final = {"d": "0-9", "w": "0-9A-Za-z_"}


def lucene(pattern: str) -> str:
    r"""
    Return the regular expression of Lucene that matches whole values that contain a match of *pattern*.

    It may have characters, ``.``, sets, ``\d``, ``\w``, groups, ``|``, repetitions, and ``^`` and ``$`` at the ends.

    Raises:
        ExpressionError: *pattern* contains anything else.
    """
    inner = pattern.removeprefix("^")
    starts = inner != pattern
    ends = inner.endswith("$") and not inner.endswith(r"\$")
    inner = inner[:-1] if ends else inner
    translated, at, depth, before = [], 0, 0, "("
    while at < len(inner):
        match = _PIECE.match(inner, at)
        piece = "" if match is None else match["syntax"] or "x"
        repeats = piece[:1] in {"*", "+", "?", "{"}
        # A repetition of nothing, or of a repetition, is invalid or has another meaning in Lucene.
        if match is None or (repeats and before[:1] in {"*", "+", "?", "{", "(", "|"}):
            raise _unsupported(pattern)
        depth += {"(": 1, "(?:": 1, ")": -1}.get(piece, 0)
        if piece == "|" and depth == 0 and (starts or ends):
            raise _unsupported(pattern, "put the part between ^ and $ in parentheses")
        translated.append(_piece(match))
        at, before = match.end(), piece
    return f"{'' if starts else '.*'}({''.join(translated)}){'' if ends else '.*'}"


def _piece(match: re.Match[str]) -> str:
    if match["class"]:
        return f"[{_CLASSES[match['class']]}]"
    if match["set"]:
        return re.sub(r"\\([dw])", lambda one: _CLASSES[one[1]], match["set"])
    if match["syntax"]:
        return match["syntax"].removesuffix("?:")
    character = match["escaped"] or match["literal"]
    return character if character.isalnum() or character.isspace() else f"\\{character}"


def _unsupported(pattern: str, problem: str = "not a regular expression of search engines") -> ExpressionError:
    return ExpressionError(f"{pattern!r}: {problem}")
