"""
The blocks of the pages that are not Python: each is run by a test, checked here, or marked as an excerpt.

Blocks of ``text`` show a file or an output, and blocks of ``json`` are parsed by ``test_docs.py``. The mark is the same
as for Python: a comment ``<!-- skip: ... -->`` on the line above.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

import pytest
from paths import DOCS, ROOT, TESTS
from test_docs import BLOCK, PAGES

from obs_middleware.__main__ import COMMANDS

RUN_BY: Final = {
    "how-to/alerts.md": "test_how_to.py",
    "how-to/gdpr.md": "test_how_to.py",
    "how-to/interop.md": "read/test_interop.py",
    "how-to/reading.md": "read/test_reading_page.py",
    "how-to/search-engine.md": "read/test_reading_page.py",
    "how-to/shipping.md": "shipping/test_queries.py",
    "how-to/why.md": "read/test_reading_page.py",
    "reference/checks.md": "test_checks.py",
}
"""The pages whose blocks a test of their own runs, and its file."""
SHOWN: Final = {"json", "python", "text"}
COMMAND: Final = re.compile(r"^\$ ((?:.*\\\n)*.*)$", re.MULTILINE)
EXTRAS: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def unmarked(page: Path) -> Iterator[str]:
    """Yield the code of the blocks of *page* that neither have a mark nor a test of their own."""
    if page.relative_to(ROOT).as_posix().removeprefix("docs/") in RUN_BY:
        return
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if match["language"] not in SHOWN and match["skip"] is None:
            yield match["code"]


def programs(code: str) -> Iterator[list[str]]:
    """Yield the words of each program that the commands of *code* start. Comments and redirections are left out."""
    for command in COMMAND.findall(code):
        words = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars="|&;<>")
        words.whitespace_split = True
        for is_operator, group in groupby(words, key=lambda word: set(word) <= set("|&;<>")):
            if not is_operator:
                yield list(group)


def problem(words: list[str]) -> str | None:
    """Return what is wrong with the call of a program, or None."""
    match words:
        case ["make", *_]:
            return None  # `test_docs.py` knows the targets
        case ["pip", "install", *packages]:
            extras = {name for package in packages for name in re.findall(r"^obs-middleware\[(\w+)\]$", package)}
            return None if extras <= set(EXTRAS) else f"no extra {extras - set(EXTRAS)}"
        case ["obs-middleware", *arguments]:
            return refusal(arguments)
        case _:
            return f"{words[0]} is run by no test: write <!-- skip: the reason --> on the line above the block"


def refusal(arguments: list[str]) -> str | None:
    """Return why ``obs-middleware`` does not take *arguments*, or None."""
    name, *rest = arguments if arguments and arguments[0] in COMMANDS else ["stats", *arguments]
    parser = argparse.ArgumentParser(exit_on_error=False)
    importlib.import_module(f"obs_middleware.read.commands.{name.replace('-', '_')}").configure(parser)
    try:
        parser.parse_args(rest)
    except (argparse.ArgumentError, SystemExit) as error:
        return f"obs-middleware {name} does not take {rest}: {error}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_run_or_checked_or_marked(page: Path) -> None:
    for code in unmarked(page):
        assert COMMAND.search(code), f"no command in {code!r}: write <!-- skip: the reason --> on the line above"
        assert [problem(words) for words in programs(code) if problem(words)] == [], code


@pytest.mark.parametrize(("page", "test"), RUN_BY.items())
def test_a_page_with_a_test_of_its_own_is_named_there(page: str, test: str) -> None:
    assert (DOCS / page).is_file()
    assert Path(page).name in (TESTS / test).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("$ pip install 'obs-middleware[cli]' && make demo  # a shop\n", []),
        ("$ obs-middleware stats a.log \\\n    --by route\nshown\n", []),
        ("$ obs-middleware a.log\n", []),
        ("$ pip install 'obs-middleware[gone]'\n", ["no extra"]),
        ("$ obs-middleware stats a.log --gone\n", ["obs-middleware stats does not take"]),
        ("$ cat a.log | obs-middleware slow --limit many\n", ["cat is run by no test", "obs-middleware slow does not"]),
    ],
)
def test_a_mistake_in_a_command_is_found(code: str, expected: list[str]) -> None:
    found = [problem(words) or "" for words in programs(code)]

    assert re.search(".*".join(expected), " ".join(found))
    assert len([one for one in found if one]) == len(expected)
