"""
The command ``obs-middleware``, also ``python -m obs_middleware``: `COMMANDS`, one module each.

Service. A command's module is imported when it is asked for: printing a template needs none of what a report needs.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

__all__ = ["COMMANDS", "Command", "main"]


class Command(NamedTuple):
    """
    A command.

    Attributes:
        summary: What it does, in the list of commands.
        module: Its module, with ``configure(parser)``, and ``run(arguments)`` that returns the exit code.
    """

    summary: str
    module: str


COMMANDS: Final[Mapping[str, Command]] = {
    "elastic-template": Command("print the templates for Elasticsearch or OpenSearch", "obs_middleware.logs.elastic"),
}
"""Every command by its name."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command that *argv* names and return its exit code; 2 for arguments that cannot be understood.

    Args:
        argv: The arguments after the program's name; None for those of the process.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog="obs-middleware", description="What it takes to use the lines.")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=command.summary)
        if name in given[:1]:
            importlib.import_module(command.module).configure(subparser)
    arguments = parser.parse_args(given)
    exit_code: int = importlib.import_module(COMMANDS[arguments.command].module).run(arguments)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
