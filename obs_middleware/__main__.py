"""
The console script ``obs-middleware``, also ``python -m obs_middleware``.

A command ``some-name`` is the module ``obs_middleware.read.commands.some_name``. It has two functions:
``configure(parser)`` adds its arguments, ``run(arguments)`` runs it and returns the exit code.

This module imports only the standard library and a leaf. The module of a command is imported when you call the command,
so that ``--help`` works without the extras, and a missing extra gives a message instead of a traceback.
"""

from __future__ import annotations

import argparse
import atexit
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from obs_middleware.platforms import ENDING_SIGNALS, is_closed_pipe

__all__ = ["COMMANDS", "main"]

PROGRAM: Final = "obs-middleware"

COMMANDS: Final[Mapping[str, str]] = {
    "stats": "requests, errors and percentiles, in total and by route (the default)",
    "why": "where the time of slow requests goes, and the code that takes it",
    "slow": "the slowest requests, with their ids",
    "time": "rate, errors and percentiles over time",
    "grep": "the original lines that match an expression",
    "request": "the story of an id: a request, its tasks and their lines, as a tree",
    "pretty": "the lines in a form for people, from files or a pipe, with tracebacks",
    "tail": "follow a log: readable lines and a rolling summary",
    "diff": "compare two logs by route, and tell real changes from chance",
    "check": "exit with 1 if a limit is exceeded: --p95 300ms --errors 1%",
    "report": "one self-contained HTML page",
    "pack": "make logs into Parquet files, which are smaller and faster to read",
    "elastic-template": "print the index templates for Elasticsearch or OpenSearch",
}
"""Name of each command and its summary for ``--help``."""

_EXTRAS: Final = {"duckdb": "cli", "rich": "cli", "opensearchpy": "opensearch"}

OK, BAD, INTERRUPTED, CLOSED_PIPE = 0, 2, 130, 141
"""Exit codes. 1 belongs to the commands; the last two are what a shell reports for SIGINT and SIGPIPE."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run a command and return its exit code.

    An argument that is not a command is treated as a log file and passed to ``stats``.

    Args:
        argv: The arguments without the program name; None for those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _prepare_streams()
    try:
        with _exit_on_signals():
            code = _dispatch(arguments)
            sys.stdout.flush()
    except SystemExit as error:  # raised by argparse, or on a signal
        return error.code if isinstance(error.code, int) else BAD
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if is_closed_pipe(error):
            _discard_output()
            return CLOSED_PIPE
        file = f"{error.filename}: " if error.filename else ""
        print(f"{PROGRAM}: {file}{error.strerror or error}", file=sys.stderr)
        _discard_output()  # the disk may be full
        return BAD
    return code


@contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Raise SystemExit on signals that end a program, so that temporary copies of the input are removed."""

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)  # what a shell reports for the signal

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    replaced = [number for number in ENDING_SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in replaced:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in replaced:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _silent_interrupt() -> Iterator[None]:
    """
    Let Ctrl-C end the process at once, while there is nothing to clean up.

    An extension module turns the KeyboardInterrupt into an ImportError.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _prepare_streams() -> None:
    """Replace closed streams, and make the others accept every character."""
    if sys.stdin is None:
        sys.stdin = _null_stream("r")
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, _null_stream("w"))
        elif isinstance(stream, io.TextIOWrapper):
            # Lines and pages are UTF-8 in a file or pipe, regardless of the locale.
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def _null_stream(mode: str) -> Any:
    """Open the null device; it is closed when the process ends."""
    stream: Any = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115 -- closed at exit
    atexit.register(stream.close)
    return stream


def _discard_output() -> None:
    """Redirect stdout to the null device if it cannot be flushed, so that Python does not report that at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(arguments: list[str]) -> int:
    if not arguments and sys.stdin is not None and sys.stdin.isatty():
        _parser().print_help(sys.stderr)
        return BAD
    if arguments and arguments[0] in {"-h", "--help", "--version"}:
        if _parser().parse_args(arguments[:1]).version:
            from importlib.metadata import version  # noqa: PLC0415 -- takes longer than all other imports here

            print(f"{PROGRAM} {version(PROGRAM)}")
        return OK
    name = "stats"
    if arguments and arguments[0] in COMMANDS:
        name = arguments.pop(0)
    elif arguments and _looks_like_a_command(arguments[0]):
        print(
            f"{PROGRAM}: {arguments[0]!r} is neither a command nor a file: {PROGRAM} --help lists the commands",
            file=sys.stderr,
        )
        return BAD
    try:
        return _run(name, arguments)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(f'{PROGRAM} {name} needs {error.name}: pip install "obs-middleware[{extra}]"', file=sys.stderr)
        return BAD


def _run(name: str, arguments: list[str]) -> int:
    with _silent_interrupt():
        command = importlib.import_module(f"obs_middleware.read.commands.{name.replace('-', '_')}")
    parser = argparse.ArgumentParser(f"{PROGRAM} {name}", description=_escaped(COMMANDS[name]))
    command.configure(parser)
    code: int = command.run(parser.parse_args(arguments))
    return code


def _looks_like_a_command(word: str) -> bool:
    return word.replace("-", "").isalpha() and not word.startswith("-") and not Path(word).exists()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        PROGRAM,
        description="Read the log lines that obs_middleware writes, and prepare a store for them.",
        epilog=f"{PROGRAM} COMMAND --help shows the options. {PROGRAM} FILE is short for {PROGRAM} stats FILE.",
    )
    parser.add_argument("--version", action="store_true", help="show the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=_escaped(summary))
    return parser


def _escaped(text: str) -> str:
    """Escape *text* for argparse, which formats help texts with ``%``."""
    return text.replace("%", "%%")


if __name__ == "__main__":
    sys.exit(main())
