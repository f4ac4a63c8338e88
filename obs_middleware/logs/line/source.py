"""
`Source`: the source of a plan while it is being written. A plan writes the lines of all events of one shape.

Write. A plan is a function in which the constant parts of the line are encoded already, and the values are left to fill
in. Most texts have nothing to escape. So it first joins them, encodes that one text, and sees by its length whether
anything was escaped. If nothing was, the texts are put into the line as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from obs_middleware.logs.line import encode
from obs_middleware.logs.line.encode import INT64, as_whole, dumps
from obs_middleware.logs.line.limits import SHORT_TEXT
from obs_middleware.measure.remembered import Remembered

__all__ = ["Frame", "Leaf", "Plan", "Source"]

Plan = Callable[[Sequence[str], Sequence[Any], Mapping[str, Any]], str | None]
"""
Takes the values of the fields in front, which are texts, those of the event and the event itself, and returns the line.

Returns None if the event has another shape, and another plan may write it; an empty text if the chain must write it.
"""

_SMALL: Final = {number: str(number) for number in range(1_000)}
"""The texts of small integers: to look one up takes half the time of making it."""

_LOCAL: Final = "type=type, str=str, int=int, small=small, encoded=encoded"
"""Names that a plan uses more than once, as arguments with a default: a local variable is found faster."""

_PLAN: Final = """\
def plan(head, values, event, {local}):
    [{heads}] = head
    [{values}] = values
    {guards}
    joined = f"{joined}"
    if len(joined) > {short} and max(0, {lengths}) > {short}:
        return None
    if len(encoded(joined)) == len(joined) + 2 and '\\x7f' not in joined:
        line = {plain}
        return {checked}
    return whole({escaped}, {most})
"""


class Frame(NamedTuple):
    """
    What all lines of a formatter have in common.

    Attributes:
        most_bytes: The limit of a line in bytes, without its line feed.
        head: The names of the fields in front; their values are texts.
        constants: The fields behind these that are the same on every line, with clean texts.
        ours: The names of fields with a text that never has to be checked or escaped.
    """

    most_bytes: int
    head: tuple[str, ...] = ()
    constants: Mapping[str, str] = MappingProxyType({})
    ours: Collection[str] = ()


class Leaf(NamedTuple):
    """
    A value in the source of a plan.

    Attributes:
        symbol: The variable that has the value.
        plain: The code of its JSON, if no text has to be escaped: literals and f-strings, one after the other.
        escaped: The same for any text.
    """

    symbol: str
    plain: str
    escaped: str


class Source:
    """
    The source of a plan while it is being written.

    Attributes:
        event: The event from which the plan is made: names and values, also those in front and the constants.
            structlog's ``event`` is ``message``.
        values: For each name, the value in the source. A constant is a text.

    Args:
        event: The names and values of an event of the shape. The values are scalars.
        head: The values of the fields in front.
        frame: What all lines have in common.

    Raises:
        ValueError: The message is no text.
    """

    def __init__(self, event: Mapping[str, Any], head: Sequence[str], frame: Frame) -> None:
        if type(event.get("event", "")) is not str:
            raise ValueError("the message is no text")
        named = {"message" if name == "event" else name: value for name, value in event.items()}
        self.event = {**dict(zip(frame.head, head, strict=True)), **frame.constants, **named}
        self._heads = [f"h{number}" for number in range(len(head))]
        self._variables = [f"v{number}" for number in range(len(event))]
        self._frame = frame
        self._guards: list[str] = []
        self._texts: list[str] = []
        self._results: list[str] = []
        self._has_nested = False
        self._functions: dict[str, Any] = {
            "small": _SMALL,
            "encoded": encode.encoded,
            "text": encode.encode_text,
            "number": encode.encode_float,
            "integer": encode.encode_integer,
            "nested": dumps,
            "whole": as_whole,
        }
        symbols = dict(zip((*frame.head, *named), (*self._heads, *self._variables), strict=True))
        self.values: dict[str, Leaf | str] = {
            name: self._leaf(symbols[name], value, is_ours=name in frame.ours) if name in symbols else value
            for name, value in self.event.items()
        }

    def _leaf(self, symbol: str, value: Any, *, is_ours: bool = False) -> Leaf:
        """Return a value like *value*, and guard that it is like it."""
        kind = type(value)
        if value is None:
            self._guard(f"{symbol} is not None")
            return Leaf(symbol, "'null'", "'null'")
        if not is_ours:
            self._guard(f"type({symbol}) is not {kind.__name__}")
        if kind is str:
            plain = f"""'"' f"{{{symbol}}}" '"'"""
            if is_ours:
                return Leaf(symbol, plain, plain)
            (self._results if symbol[0] == "r" else self._texts).append(symbol)
            return Leaf(symbol, plain, f'f"{{text({symbol})}}"')
        if kind is bool:
            code = f"'true' if {symbol} else 'false'"
        elif kind is int:
            code = f"small[{symbol}] if {symbol} in small else integer({symbol})"
        elif kind is float:
            self._guard(f"{symbol} - {symbol}")  # 0.0, and NaN if the number is not finite
            code = f"number({symbol})"
        else:
            self._has_nested = True
            code = f"nested({symbol})"
        return Leaf(symbol, f'f"{{{code}}}"', f'f"{{{code}}}"')

    def _guard(self, condition: str) -> None:
        self._guards.append(f"if {condition}: return None")

    def require(self, name: str) -> None:
        """Guard that the field *name*, a text, has the value that it has now."""
        leaf = self.values[name]
        if isinstance(leaf, Leaf):
            self._guard(f"{leaf.symbol} != {self.event[name]!r}")

    def converted(self, name: str, convert: Callable[..., Any]) -> Any:
        """
        Return the field *name* converted, or None if the conversion leaves its place out.

        Raises:
            Exception: The conversion fails on the value.
        """
        value = self.event[name]
        result = convert(value, self.event)
        leaf = self.values[name]
        if not isinstance(leaf, Leaf):
            return result
        if type(value) is int:  # a larger one is refused as an integer, but not the text of it
            self._guard(f"not {-INT64} <= {leaf.symbol} < {INT64}")
        number = len(self._functions)
        self._functions[f"f{number}"] = convert
        call = f"[{leaf.symbol}]" if isinstance(convert, Remembered) else f"({leaf.symbol}, event)"
        self._guards.append(f"r{number} = f{number}{call}")
        made = self._leaf(f"r{number}", result)
        return None if result is None else made

    def plan(self, line: Mapping[str, Any]) -> Plan:
        """Return the plan that writes *line*, whose values are leaves, constants, or objects of these."""
        most = self._frame.most_bytes
        is_checked = not self._has_nested and "".join(self._frame.constants.values()).isascii()
        source = _PLAN.format(
            local=_LOCAL,
            heads=", ".join(self._heads),
            values=", ".join(self._variables),
            guards="\n    ".join(self._guards),
            joined="".join(f"{{{symbol}}}" for symbol in (*self._texts, *self._results)),
            lengths=", ".join(f"len({symbol})" for symbol in self._texts),
            short=SHORT_TEXT,
            plain=_code(line, "plain"),
            checked=f"line if len(line) <= {most} else ''" if is_checked else f"whole(line, {most})",
            escaped=_code(line, "escaped"),
            most=most,
        )
        exec(source, self._functions)  # noqa: S102 -- made of numbered variables and of repr() of texts
        plan: Plan = self._functions["plan"]
        return plan


def _code(value: Any, form: str) -> str:
    """Return the code of the JSON of *value*; *form* is the attribute of the leaves that has theirs."""
    if type(value) is dict:
        items = " ',' ".join(f"{dumps(name) + ':'!r} {_code(item, form)}" for name, item in value.items())
        return f"'{{' {items} '}}'"
    code: str = getattr(value, form) if type(value) is Leaf else repr(dumps(value))
    return code
