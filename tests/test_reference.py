"""The parts of the reference that are made from the code."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
import reference
from paths import DOCS
from reference import PARTS, with_parts

from obs_middleware.__main__ import COMMANDS
from obs_middleware.checks import CHECKS
from obs_middleware.read.commands import stats

PAGES = sorted((DOCS / "reference").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_says_what_the_code_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert with_parts(text) == text, "run `make reference`"


def test_every_part_is_on_one_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)

    assert sorted(re.findall(r"^<!-- generated: (.+) -->$", text, re.MULTILINE)) == sorted(PARTS)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_is_out_of_date_is_written_again(name: str) -> None:
    text = f"Before.\n\n<!-- generated: {name} -->\n\nold\n\n<!-- end -->\n\nAfter.\n"

    assert with_parts(text) == text.replace("old", PARTS[name]())


def test_the_heading_of_a_setting_has_its_type_and_default() -> None:
    assert with_parts("### `LEVEL: int = 3`\n") == "### `LEVEL: str | Callable | None = None`\n"
    assert with_parts("### `REDACT: int = 3`\n") == "### `REDACT: Sequence[str] = DEFAULT_NAMES`\n"
    assert with_parts("### `METRICS: int = 3`\n") == "### `METRICS: bool | str | PathLike = False`\n"


def test_the_section_of_a_check_begins_with_its_meaning() -> None:
    name = "obs_middleware.E001"

    assert with_parts(f"### `{name}`\n\nOld.\n\nMore.\n") == f"### `{name}`\n\n{CHECKS[name]}\n\nMore.\n"


def test_every_setting_links_to_its_section() -> None:
    sections = re.findall(r"^### (.+)$", (DOCS / "reference" / "settings.md").read_text(), re.MULTILINE)

    assert re.findall(r"\(#(.+?)\)", PARTS["settings"]()) == [reference.slug(section) for section in sections]


def test_an_argument_of_many_commands_is_described_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument of one command is in its section, with its choices and default; a hidden argument is nowhere."""

    def configure(parser: argparse.ArgumentParser) -> None:
        real(parser)
        parser.add_argument("-z", "--own", default="a", choices=["a", "b"], help="new with --memory (%(default)s)")
        parser.add_argument("--hidden", help=argparse.SUPPRESS)

    real = stats.configure
    monkeypatch.setattr(stats, "configure", configure)

    part = PARTS["commands"]()

    assert "| `-z`, `--own a\\|b` | new with `--memory` (a) |" in part[: part.index("## `why`")]
    assert "--hidden" not in part
    assert len(re.findall(r"^\| `--since TIME` \| .* \| all but .*`elastic-template`.* \|$", part, re.MULTILINE)) == 1


def test_every_command_has_a_section() -> None:
    assert re.findall(r"^## `(.+)`$", PARTS["commands"](), re.MULTILINE) == list(COMMANDS)
