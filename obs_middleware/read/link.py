"""
A link from an answer to an error tracker, a trace or an index: the option ``--link``, a template of its URL.

Read. The template comes from the user, the values come from lines: a value can only become a part of a path, a query or
a fragment, and is escaped.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import quote

__all__ = ["Link", "add_link"]

_URL: Final = re.compile(r"https?://[^\s/?#{}\\]+[/?#]\S*", re.IGNORECASE).fullmatch
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


class Link(NamedTuple):
    """
    The template of a URL.

    Attributes:
        template: The URL, with fields in braces.
        fields: The fields in it.
    """

    template: str
    fields: frozenset[str]

    def to(self, values: Mapping[str, Any]) -> str | None:
        """Return the URL for a line with *values*, or None if it does not have all of the fields."""
        # Browsers leave the path at ".." and drop ".", also if the dots are escaped.
        if any(values.get(field) in (None, ".", "..") for field in self.fields):
            return None
        return _PLACEHOLDER.sub(lambda match: quote(str(values[match[1]]), safe="", errors="replace"), self.template)


def add_link(parser: argparse.ArgumentParser, fields: Sequence[str]) -> None:
    """Add ``--link``, whose template may have *fields*."""
    listed = ", ".join(f"{{{field}}}" for field in fields)
    parser.add_argument(
        "--link",
        type=partial(_link, fields=fields),
        metavar="URL",
        help=f"link to this URL, for example of an error tracker; the ids are filled in: {listed}",
    )


def _link(text: str, fields: Sequence[str]) -> Link:
    found = frozenset(_PLACEHOLDER.findall(text))
    listed = ", ".join(f"{{{field}}}" for field in fields)
    if not _URL(text) or not text.isprintable():
        reason = f"use a URL such as https://sentry.example.com/issues/?query=request_id:{{{fields[0]}}}"
    elif not found:
        reason = f"it names no field: use one of {listed}"
    elif found - {*fields}:
        reason = f"{{{min(found - {*fields})}}} is not known here: use {listed}, and write other braces as %7B and %7D"
    elif re.search("[{}]", _PLACEHOLDER.sub("", text)):
        reason = "write braces that are not around a field as %7B and %7D"
    else:
        return Link(text, found)
    raise argparse.ArgumentTypeError(f"invalid URL {text!r}: {reason}")
