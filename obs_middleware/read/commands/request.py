"""``obs-middleware request``: the story of a request, and of all the work that it caused, as a tree in time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from obs_middleware.read.commands._arguments import add_files
from obs_middleware.read.commands._common import NOTHING_FOUND, Session, answered, write_lines, zone_in
from obs_middleware.read.gather import SHORTEST, STORY_FIELDS, gather
from obs_middleware.read.link import Link, add_link
from obs_middleware.read.parsed_line import ParsedLine
from obs_middleware.read.show.story import story_answer
from obs_middleware.read.show.text import FORMATS, show
from obs_middleware.read.story import tree_of
from obs_middleware.read.where.conditions import Condition

__all__ = ["configure", "run"]

_LINES: Final = "lines"
_LINKS: Final = 5
"""How many links people see; the JSON has all."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``request``."""
    parser.add_argument(
        "id",
        metavar="ID",
        help=f"the id of a request or a task, or at least {SHORTEST} characters of its start",
    )
    add_files(parser)
    add_link(parser, ("request_id", "trace_id", "task_id"))
    parser.add_argument(
        "--format",
        choices=(*FORMATS, _LINES),
        default="table",
        help="output format (table); lines are the original lines, in the order of time",
    )


def run(arguments: argparse.Namespace) -> int:
    """
    Print the story.

    Returns:
        0, or 1 if there is no such line.
    """
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    link: Link | None = arguments.link
    fields = tuple(dict.fromkeys((*STORY_FIELDS, *sorted(link.fields if link is not None else ()))))

    def find(condition: Condition, containing: Sequence[str]) -> Sequence[ParsedLine]:
        return session.parsed(condition, arguments.files, fields, containing)

    whole, lines, note = gather(arguments.id, find)
    if note is not None:
        session.remarks.notes.append(note)
    if not lines:
        print(f"obs-middleware: no line has the request id or task id {arguments.id!r}", file=sys.stderr)
        return NOTHING_FOUND
    if arguments.format == _LINES:
        write_lines(line.text for line in lines)
    else:
        answer = story_answer(whole, tree_of(lines), zone_in(session))
        if link is not None:
            urls = _urls(link, lines)
            links = urls[:_LINKS]
            notes = (f"the first {_LINKS} of {len(urls)} links:",) if len(urls) > _LINKS else ()
            answer = replace(answer, data={**answer.data, "links": urls}, notes=(*answer.notes, *notes), links=links)
        show(answer, arguments.format)
    return 0


def _urls(link: Link, lines: Sequence[ParsedLine]) -> tuple[str, ...]:
    """Return the URLs for the units of work in *lines*, each once, in the order of their lines."""
    found = (link.to(line.fields) for line in lines if line.kind is not None)
    return tuple(dict.fromkeys(url for url in found if url is not None))
