"""Arguments that several commands have in common, and the reading of them."""

from __future__ import annotations

import argparse
from decimal import Decimal, InvalidOperation

from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.index.access import add_access, refuse_access
from obs_middleware.read.kinds import KINDS, REQUEST, Kind
from obs_middleware.read.schemas import field_of
from obs_middleware.read.show.text import FORMATS
from obs_middleware.read.where.options import add_filters

__all__ = [
    "add_by",
    "add_files",
    "add_format",
    "add_kind",
    "add_limit",
    "add_local_files",
    "add_memory",
    "add_percentiles",
    "by_of",
    "kind_of",
    "percentiles_of",
    "whole_number",
]

_SHORT_NAMES = {"user": "user_id", "duration": "duration_seconds"}


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the log files, the filters, ``--memory``, and the options that name a search engine instead of files."""
    _add_files(parser)
    add_access(parser)


def add_local_files(parser: argparse.ArgumentParser) -> None:
    """Add the log files, the filters and ``--memory``, for a command that cannot ask a search engine."""
    _add_files(parser)
    refuse_access(parser, "this command reads files only; grep prints the lines of a search engine")


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="log files, patterns, .gz, .zst, .bz2, .xz, exports; - or nothing for standard input. If some cannot be "
        "read, the others are, and the exit code is 3",
    )
    add_filters(parser)
    add_memory(parser)


def add_memory(parser: argparse.ArgumentParser) -> None:
    """Add ``--memory``."""
    parser.add_argument(
        "--memory", metavar="SIZE", help="memory to use before data goes to disk: 500MiB, 4GiB (1500MiB)"
    )


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add ``--format``."""
    parser.add_argument("--format", choices=FORMATS, default="table", help="output format (table)")


def add_limit(parser: argparse.ArgumentParser, text: str) -> None:
    """Add ``--limit``, which is 20 by default; *text* is its help."""
    parser.add_argument("--limit", type=whole_number, default=20, metavar="N", help=f"{text} (20)")


def add_kind(parser: argparse.ArgumentParser) -> None:
    """Add ``--kind``; `kind_of` reads it."""
    parser.add_argument("--kind", choices=[*KINDS], default=REQUEST.name, help="the kind of work to look at (request)")


def kind_of(arguments: argparse.Namespace) -> Kind:
    """Return the kind in ``--kind``; requests if the command does not have the option."""
    return KINDS[getattr(arguments, "kind", REQUEST.name)]


def add_by(parser: argparse.ArgumentParser) -> None:
    """Add ``--by``; `by_of` reads it."""
    parser.add_argument(
        "--by",
        metavar="FIELDS",
        help="fields to group by: route, status, view, user_id or any other, also your own "
        f"({'; '.join(','.join(kind.by) for kind in KINDS.values())})",
    )


def add_percentiles(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--p``; `percentiles_of` reads it."""
    parser.add_argument("--p", dest="percentiles", metavar="LIST", help=f"percentiles to show: 50,95,99.9 ({default})")


def percentiles_of(arguments: argparse.Namespace, default: str) -> dict[str, float]:
    """
    Return the percentiles in ``--p``, or else in *default*: ``p99.9`` -> share of the durations below it.

    Raises:
        ExpressionError: ``--p`` is no list of numbers between 0 and 100.
    """
    found = {}
    given = default if arguments.percentiles is None else arguments.percentiles
    for text in given.split(","):
        try:
            number = Decimal(text.strip().removeprefix("p")).normalize()
            valid = 0 < number < 100
        except InvalidOperation:
            valid = False
        if not valid:
            raise ExpressionError(f"invalid --p {given!r}: use numbers above 0 and below 100, for example 50,95,99.9")
        found[f"p{number:f}"] = float(number / 100)
    return found


def by_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """
    Return the names of the fields in ``--by``, each once; without it those of the kind.

    Raises:
        ExpressionError: ``--by`` names no field.
    """
    if arguments.by is None:
        return kind_of(arguments).by
    names = [name.strip() for name in arguments.by.split(",") if name.strip()]
    fields = tuple(dict.fromkeys(_SHORT_NAMES.get(name.lower(), field_of(name)) for name in names))
    if not fields:
        raise ExpressionError(
            f"invalid --by {arguments.by!r}: name at least one field, for example route or method,status"
        )
    return fields


def whole_number(text: str) -> int:
    """
    Parse a whole number from 0, for ``type=`` of an argument.

    Raises:
        ArgumentTypeError: *text* is something else.
    """
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"invalid number {text!r}: use a whole number from 0")
    return value
