"""
Write the parts of the reference that follow from the code: settings, fields, checks and the options of the commands.

`make reference` runs this. The parts are kept in the repository, where a forge shows them. A test compares them with
the code. A part is between the comments ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Final

from obs_middleware.__main__ import COMMANDS
from obs_middleware.checks import CHECKS
from obs_middleware.conf import Settings
from obs_middleware.measure.vocabulary import FIELDS
from obs_middleware.redaction import DEFAULT_NAMES

__all__ = ["PARTS", "with_parts"]

DOCS: Final = Path(__file__).resolve().parent.parent
PART: Final = re.compile(
    r"(?P<begin>^<!-- generated: (?P<name>[\w-]+) -->\n\n).*?(?P<end>\n\n<!-- end -->$)", re.MULTILINE | re.DOTALL
)
SETTING: Final = re.compile(r"(?<=^### )`(?P<name>[A-Z_]+): .+ = .+`$", re.MULTILINE)
CHECK: Final = re.compile(r"(?P<begin>^### `(?P<name>obs_middleware\.\w+)`\n\n).+$", re.MULTILINE)
SHARED: Final = 5
"""An option that at least so many commands have is described once for all of them."""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("| --- ", "|---").replace("--- |", "---|")


def slug(heading: str) -> str:
    """Return the anchor of *heading*."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# Fields and checks


def fields_part() -> str:
    """Return the table of all fields."""
    return table(["field", "type", "when", "meaning"], ([f"`{name}`", *field] for name, field in FIELDS.items()))


def checks_part() -> str:
    """Return the table of all checks."""
    return table(["check", "meaning"], ([f"[`{name}`](#{slug(name)})", text] for name, text in CHECKS.items()))


# Settings


def heading(name: str) -> str:
    """Return the heading of the setting *name*: its name, type and default, as Python."""
    setting = {field.name: field for field in fields(Settings)}[name.lower()]
    kind = re.sub(r"\bos\.|\[\.\.\., Any\]|(?<=PathLike)\[str\]", "", str(setting.type))
    default = "DEFAULT_NAMES" if setting.default is DEFAULT_NAMES else repr(setting.default)
    return f"`{name}: {kind} = {default}`"


def summaries() -> Iterator[tuple[str, str]]:
    """Yield the name of each setting, and the text below its attribute."""
    nodes = [node for a_class in ast.parse(inspect.getsource(Settings)).body for node in ast.iter_child_nodes(a_class)]
    for attribute, text in pairwise(nodes):
        match attribute, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                words = re.sub(r"\*(\w+)\*", lambda other: f"`{other[1].upper()}`", words)
                yield name.upper(), " ".join(words.replace("``", "`").split())


def settings_part() -> str:
    """Return the table of all settings."""
    return table(
        ["setting", "default", "meaning"],
        (
            [f"[`{name}`](#{slug(heading(name))})", f"`{heading(name).strip('`').partition(' = ')[2]}`", text]
            for name, text in summaries()
        ),
    )


# Commands


def arguments_of(command: str) -> Iterator[tuple[str, str, str]]:
    """Yield the arguments of *command*: the title of their group, how they are written, and their help."""
    parser = argparse.ArgumentParser()
    importlib.import_module(f"obs_middleware.read.commands.{command.replace('-', '_')}").configure(parser)
    for group in parser._action_groups:  # noqa: SLF001 -- argparse has no public way to list its arguments
        for action in group._group_actions:  # noqa: SLF001 -- as above
            if action.help is argparse.SUPPRESS or action.dest == "help":
                continue
            value = action.metavar or "|".join(action.choices or []) or action.dest.upper()
            names = [f"`{name}`" for name in action.option_strings]
            if names and action.nargs != 0:
                names[-1] = f"`{action.option_strings[-1]} {value}`"
            written = ", ".join(names) or f"`{value}`"
            yield group.title or "", written, as_markdown((action.help or "as above") % vars(action))


def as_markdown(text: str) -> str:
    """Return the help *text* with its options as code."""
    return re.sub(r"(?<!\S)--[a-z][\w-]*", r"`\g<0>`", re.sub(r"(?=[*<])", r"\\", text))


def commands_part() -> str:
    """Return a section for each command, and the options that many of them have."""
    arguments = {command: list(arguments_of(command)) for command in COMMANDS}
    users: dict[tuple[str, str, str], list[str]] = {}
    for command, own in arguments.items():
        for argument in own:
            users.setdefault(argument, []).append(command)
    shared = {argument: commands for argument, commands in users.items() if len(commands) >= SHARED}
    sections = [
        table(["command", "result"], ([f"[`{name}`](#{name})", as_markdown(text)] for name, text in COMMANDS.items()))
    ]
    for command, summary in COMMANDS.items():
        title = as_markdown(summary)
        rows = [argument[1:] for argument in arguments[command] if argument not in shared]
        sections += [f"## `{command}`", f"{title[0].upper()}{title[1:]}."]
        sections += [table(["argument", "meaning"], rows)] if rows else []
        if len(rows) < len(arguments[command]):
            sections.append("It also has [options of many commands](#options-of-many-commands).")
    sections.append("## Options of many commands")
    for title in dict.fromkeys(title for title, _, _ in shared):
        group = [[*argument[1:], all_but(commands)] for argument, commands in shared.items() if argument[0] == title]
        sections += [f"### {title[0].upper()}{title[1:]}", table(["argument", "meaning", "commands"], group)]
    return "\n\n".join(sections)


def all_but(commands: Sequence[str]) -> str:
    """Return the names of *commands*, or of those that are missing, if these are fewer."""
    others = [command for command in COMMANDS if command not in commands]
    names = ", ".join(f"`{command}`" for command in min(commands, others, key=len))
    return f"all but {names}" if len(others) < len(commands) else names


# Pages

PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "checks": checks_part,
    "commands": commands_part,
    "fields": fields_part,
    "settings": settings_part,
}
"""The name of each part, and what makes it."""


def with_parts(text: str) -> str:
    """Return the *text* of a page with its parts, headings of settings and meanings of checks as the code has them."""
    text = PART.sub(lambda match: match["begin"] + PARTS[match["name"]]() + match["end"], text)
    text = SETTING.sub(lambda match: heading(match["name"]), text)
    return CHECK.sub(lambda match: match["begin"] + CHECKS[match["name"]], text)


if __name__ == "__main__":
    for page in sorted((DOCS / "reference").glob("*.md")):
        old = page.read_text(encoding="utf-8")
        if (new := with_parts(old)) != old:
            page.write_text(new, encoding="utf-8")
            print(f"{page.name} is new")
