"""
The console script ``obs-middleware``, also ``python -m obs_middleware``: which commands there are.

Imports nothing but the standard library until a command is asked for; the module of a command is imported then. It has
``configure(parser)``, which adds its arguments, and ``run(arguments)``, which returns the exit code.
"""

from __future__ import annotations

import argparse
import atexit
import importlib
import importlib.metadata
import io
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

__all__ = ["COMMANDS", "Command", "main"]

PROGRAM: Final = "obs-middleware"


class Command(NamedTuple):
    """
    A command of the console script.

    Attributes:
        summary: What it answers, for ``--help``.
        module: Dotted path of its module.
    """

    summary: str
    module: str


_FOLDER: Final = "obs_middleware.read.commands"

COMMANDS: Final[Mapping[str, Command]] = {
    "stats": Command("requests, errors and percentiles, in all and by route (the default)", f"{_FOLDER}.stats"),
    "slow": Command("the slowest requests, with their ids", f"{_FOLDER}.slow"),
    "time": Command("the course over time: rate, errors, p95", f"{_FOLDER}.time"),
    "grep": Command("the original lines for which an expression holds", f"{_FOLDER}.grep"),
    "request": Command("every line of one request, in order", f"{_FOLDER}.request"),
    "tail": Command("follow a log, rendered for people, with a rolling summary", f"{_FOLDER}.tail"),
    "diff": Command("two logs compared by route, and whether it is more than chance", f"{_FOLDER}.diff"),
    "check": Command("exit with 1 when a limit is broken: --p95 300ms --errors 1%%", f"{_FOLDER}.check"),
    "report": Command("one self-contained HTML page", f"{_FOLDER}.report"),
    "elastic-template": Command("print the templates for Elasticsearch or OpenSearch", "obs_middleware.logs.elastic"),
}

_EXTRAS: Final = {"duckdb": "cli", "rich": "cli", "opensearchpy": "opensearch"}

OK, BAD, INTERRUPTED, CLOSED_PIPE = 0, 2, 130, 141
"""Exit codes, beside 1, which is the verdict of ``check``. The last two are a shell's for SIGINT and SIGPIPE."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command that *argv* names and return its exit code.

    What is no command is taken for a file, of which ``stats`` are shown.

    Args:
        argv: The arguments; None for those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _mend_streams()
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except SystemExit as error:  # argparse
        return error.code if isinstance(error.code, int) else BAD
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _give_up_output()  # whoever reads has seen enough
        return CLOSED_PIPE
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        print(f"{PROGRAM}: {named}{error.strerror or error}", file=sys.stderr)
        _give_up_output()  # the disk may be full
        return BAD
    return code


def _mend_streams() -> None:
    """Let nothing go wrong because a stream is closed, or because of what the locale cannot say."""
    if sys.stdin is None:
        sys.stdin = _nothing("r")
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, _nothing("w"))
        elif isinstance(stream, io.TextIOWrapper):
            # Lines are UTF-8, and so are pages, whatever a terminal here would show.
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def _nothing(mode: str) -> Any:
    """Return a stream that stands for one that is closed, until the process ends."""
    stream: Any = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115 -- closed at the end
    atexit.register(stream.close)
    return stream


def _give_up_output() -> None:
    """Keep Python from complaining once more at its end of what it could not write."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str]) -> int:
    if not arguments and sys.stdin is not None and sys.stdin.isatty():
        _parser().print_help(sys.stderr)
        return BAD
    if arguments and arguments[0] in {"-h", "--help", "--version"}:
        if _parser().parse_args(arguments[:1]).version:
            print(f"{PROGRAM} {importlib.metadata.version(PROGRAM)}")
        return OK
    name = "stats"
    if arguments and arguments[0] in COMMANDS:
        name = arguments.pop(0)
    elif arguments and _looks_like_a_command(arguments[0]):
        print(f"{PROGRAM}: {arguments[0]}: neither a command nor a file; {PROGRAM} --help", file=sys.stderr)
        return BAD
    try:
        return _asked(name, arguments)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(f'{PROGRAM} {name} needs {error.name}: pip install "obs-middleware[{extra}]"', file=sys.stderr)
        return BAD


def _asked(name: str, arguments: list[str]) -> int:
    command = COMMANDS[name]
    module = importlib.import_module(command.module)
    parser = argparse.ArgumentParser(f"{PROGRAM} {name}", description=command.summary.replace("%%", "%"))
    module.configure(parser)
    code: int = module.run(parser.parse_args(arguments))
    return code


def _looks_like_a_command(word: str) -> bool:
    return word.replace("-", "").isalpha() and not word.startswith("-") and not Path(word).exists()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        PROGRAM,
        description="Read the log lines of obs_middleware, and print what it takes to ship them.",
        epilog=f"{PROGRAM} COMMAND --help tells more. {PROGRAM} FILE is short for {PROGRAM} stats FILE.",
    )
    parser.add_argument("--version", action="store_true", help="show the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.summary)
    return parser


if __name__ == "__main__":
    sys.exit(main())
