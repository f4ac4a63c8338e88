"""README and docs: tables match the code, snippets run, links have a target."""

from __future__ import annotations

import ast
import gc
import importlib
import inspect
import json
import logging.config
import os
import pydoc
import re
import subprocess
import sys
import tomllib
import unittest
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import django.conf
import django.urls
import pytest
from counts import counts
from django.core import mail
from django.core.management import call_command
from django.test import Client, override_settings
from django.test.utils import setup_test_environment
from nothing_hidden import MADE_BY_A_VIEW, MESSAGE_ALONE, Shown, check_nothing_is_hidden, check_once, shown, stock
from paths import DOCS, ROOT

from obs_middleware import logging_config
from obs_middleware.checks import CHECKS
from obs_middleware.conf import SETTING, Settings, find_problems, get_settings
from obs_middleware.logs import quiet
from obs_middleware.redaction import DEFAULT_NAMES
from obs_middleware.testing import capture_requests, parse_line

PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
GUIDES = DOCS / "how-to" / "migrate"
"""The settings on these pages are for three sites each, which tests/migration runs."""
FOR_USERS = [
    "obs_middleware",
    "obs_middleware.asgi",
    "obs_middleware.decorators",
    "obs_middleware.logs.config",
    "obs_middleware.logs.filters",
    "obs_middleware.logs.formatters",
    "obs_middleware.testing",
]
SETTABLE = ["INSTALLED_APPS", "LOGGING", "MIDDLEWARE", SETTING, "SILENCED_SYSTEM_CHECKS"]
"""The settings that a snippet can change. They stay in force for the rest of the page."""

BLOCK = re.compile(
    r"^(?:<!-- skip:(?P<skip>[^\n]*)-->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
LINK = re.compile(r"\[[^]]*\]\((?P<target>(?!https?://)[^)\s]+)\)")


class Block(NamedTuple):
    """
    A fenced block of a page.

    Attributes:
        line: The line number of the first line of code.
        skip: The reason not to run it, from a comment ``<!-- skip: ... -->`` on the line above; None without one.
    """

    line: int
    code: str
    skip: str | None


def blocks(text: str, language: str) -> Iterator[Block]:
    """Yield the blocks of *language*."""
    for match in BLOCK.finditer(text):
        if match["language"] == language:
            yield Block(text.count("\n", 0, match.start("code")) + 1, match["code"], match["skip"])


def prose(text: str) -> str:
    """Return *text* without its fenced blocks."""
    return BLOCK.sub("", text)


def rows(text: str) -> list[list[str]]:
    """Return the cells of all table rows in *text*, headings included."""
    return [
        [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in prose(text).splitlines()
        if line.startswith("|") and not line.startswith("|-")
    ]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(name="page", params=PAGES, ids=name_of)
def _page(request: pytest.FixtureRequest) -> Path:
    page: Path = request.param
    return page


# Tables and headings that match the code


def test_the_settings_have_the_right_names_and_defaults() -> None:
    """Each default is written as in settings.py, where it must not change anything."""
    text = (DOCS / "reference" / "settings.md").read_text()
    documented = re.findall(r"^### `([A-Z_]+): .+? = (.+)`$", text, re.MULTILINE)

    assert [name for name, _ in documented] == [field.name.upper() for field in fields(Settings)]
    for name, default in documented:
        written = {name: DEFAULT_NAMES if default == "DEFAULT_NAMES" else ast.literal_eval(default)}
        assert list(find_problems(written)) == []
        with override_settings(OBS_MIDDLEWARE=written):
            assert get_settings() == Settings(), name


def test_every_setting_has_an_example_and_names_its_check() -> None:
    sections = re.split(r"^### ", (DOCS / "reference" / "settings.md").read_text(), flags=re.MULTILINE)[1:]

    for section in sections:
        assert re.search(r"`obs_middleware\.[EW]\d{3}`", section), section
        assert any(SETTING in block.code for block in blocks(section, "python")), section


def test_every_check_has_its_section() -> None:
    text = (DOCS / "reference" / "checks.md").read_text()

    assert re.findall(r"^### `(.+)`$", text, re.MULTILINE) == list(CHECKS)


@pytest.mark.parametrize("name", FOR_USERS)
def test_every_name_for_users_is_in_the_docs_and_in_the_changelog(name: str) -> None:
    docs = "".join(page.read_text() for page in PAGES)
    changelog = (ROOT / "CHANGELOG.md").read_text()

    for public in importlib.import_module(name).__all__:
        assert re.search(rf"\b{public}\b", docs), public
        assert re.search(rf"\b{public}\b", changelog), public


def test_every_dotted_path_can_be_imported(page: Path) -> None:
    text = page.read_text()

    for name in re.findall(r"\bobs_middleware(?:\.[A-Za-z_]+)+\b(?![\d*/-])", text):
        if name not in FILE_NAMES:
            assert pydoc.locate(name) is not None, name


FILE_NAMES = {"obs_middleware.json"}
"""Names in the docs that only look like dotted paths."""


def test_the_readme_names_the_versions_that_are_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    documented = {
        (python, version)
        for python, versions in (row for row in rows((ROOT / "README.md").read_text()) if len(row) == 2)
        for version in versions.split(", ")
        if re.fullmatch(r"3\.\d+", python)
    }
    environments = re.findall(r"py3(\d+)-django(\d)(\d)", " ".join(project["tool"]["tox"]["env_list"]))

    assert documented == {(f"3.{python}", f"{major}.{minor}") for python, major, minor in environments}
    assert {python for python, _ in documented} == classified(project, "Programming Language :: Python :: ")
    assert {version for _, version in documented} == classified(project, "Framework :: Django :: ")


def classified(project: dict[str, Any], head: str) -> set[str]:
    """Return the versions with a minor number in the classifiers that begin with *head*."""
    found = (re.fullmatch(rf"{head}(\d+\.\d+)", classifier) for classifier in project["project"]["classifiers"])
    return {match[1] for match in found if match}


# Links and commands


def test_every_link_has_a_file_and_a_heading_as_target(page: Path) -> None:
    for match in LINK.finditer(prose(page.read_text())):
        target, _, fragment = match["target"].partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.is_file(), match["target"]
        if fragment:
            assert fragment in map(slug, HEADING.findall(prose(file.read_text()))), match["target"]


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives to *heading*."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_is_in_the_table_of_contents() -> None:
    linked = {match["target"] for match in LINK.finditer((DOCS / "index.md").read_text())}

    assert {page.relative_to(DOCS).as_posix() for page in PAGES[1:]} <= linked | {"index.md"}


def test_every_page_begins_with_what_the_reader_gets(page: Path) -> None:
    """The first sentence, below the title, speaks to the reader: you get, you find, you can, your site."""
    text = prose(re.sub(r"<!--.*?-->", "", page.read_text(), flags=re.DOTALL)).partition("\n\n")[2].strip()

    assert re.search(r"\byour?\b", re.split(r"(?<=[.:?])\s", text)[0], re.IGNORECASE)


def test_every_make_command_is_a_target(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"(?:^\$ |`)make ([a-z-]+)", page.read_text(), re.MULTILINE)) <= targets


# Snippets


def test_every_fence_starts_at_the_margin(page: Path) -> None:
    """Otherwise these tests would not find and run the block."""
    text = page.read_text()

    assert len(re.findall(r"^\s*```", text, re.MULTILINE)) == 2 * len(BLOCK.findall(text))


def test_a_skipped_snippet_has_a_reason(page: Path) -> None:
    text = page.read_text()

    reasons = [match["skip"] for match in BLOCK.finditer(text) if match["skip"] is not None]
    assert all(reason.strip() for reason in reasons)
    assert text.count("<!-- skip") == len(reasons)


def test_json_lines_are_strict_json(page: Path) -> None:
    for block in blocks(page.read_text(), "json"):
        for line in block.code.splitlines():
            parse_line(line)


def test_the_keys_of_a_shown_line_are_in_the_order_of_a_real_one(page: Path) -> None:
    """Only the formatter of another package sorts the keys, and structlog has its own before and after these."""
    with capture_requests() as lines:
        Client().get("/ok/")
    real = [*lines[0]]
    real = real[real.index("request_id") :]

    for block in blocks(page.read_text(), "json"):
        for line in map(json.loads, block.code.splitlines()):
            if "first_byte_seconds" in line:
                assert [*line][-2:] == ["first_byte_seconds", "response_bytes"]  # counted while it was sent
                continue
            keys = [key for key in line if key in real]
            if "outcome" in keys and keys != sorted(keys):
                assert keys == sorted(keys, key=real.index), line


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent != GUIDES], ids=name_of)
def test_the_snippets_run(page: Path, tmp_path: Path) -> None:
    """The snippets of a page run in a new process, because they configure Django and logging. See `run`."""
    if "django_guid." in page.read_text():
        pytest.importorskip("django_guid")  # it has no version for Python 3.12 with Django 6
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", __file__, str(page)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert "--- Logging error ---" not in result.stderr


MODULE = "snippets"
"""The ``__name__`` of the snippets, which distinguishes their definitions from their imports."""


def run(page: Path) -> None:
    """
    Run the snippets of *page* from top to bottom in one namespace, and use their definitions as a reader would.

    A snippet may extend ``INSTALLED_APPS`` and ``MIDDLEWARE``, as at the end of a settings module.

    Settings come into force and must pass ``manage.py check`` without a warning. `check_logging` tries ``LOGGING``. A
    function with the only parameter ``request`` is a view at ``/<its name>/``. A GET of it must write one line, unless
    the page leaves out lines. Tests run.
    """
    namespace: dict[str, Any] = {"__name__": MODULE, "INSTALLED_APPS": [], "MIDDLEWARE": []}
    for block in (block for block in blocks(page.read_text(), "python") if block.skip is None):
        before = dict(namespace)
        # The empty lines make a traceback show the line numbers of the page.
        exec(compile("\n" * (block.line - 1) + block.code, page, "exec", dont_inherit=True), namespace)
        settings = {name: namespace[name] for name in SETTABLE if re.search(rf"\b{name} ?[=\[]", block.code)}
        if "LOGGING" in settings:
            check_logging(settings["LOGGING"], mails=0 if MAIL_OFF in block.code else 1)
        configure(settings)
        for name, thing in namespace.items():
            if getattr(thing, "__module__", None) == MODULE and before.get(name) is not thing:
                use(name, thing)


class urls:  # noqa: N801 -- used as a module
    """The views of the page so far."""

    urlpatterns: list[Any] = []  # noqa: RUF012 -- Django's form


MAIL_OFF = 'LOGGING["loggers"]["django"]["handlers"] = []'
"""The line of a snippet that turns the mail to the administrators off."""


def check_logging(config: dict[str, Any], mails: int) -> None:
    """Check that *config* hides nothing that Django shows, repeats nothing, and sends *mails* for a 500."""
    handlers = {name: one if is_kept(one) else as_shown(one) for name, one in config["handlers"].items()}
    config = {**config, "handlers": handlers, "formatters": config["formatters"] | MESSAGE_ALONE}
    ours = getattr(django.conf.settings, SETTING, {})
    for made in ("404 answered", "a form without its token", "suspicious", "500 raised"):
        before = shown(stock(config), {"with_package": False}, made, "wsgi")
        mail.outbox = []
        after = shown(config, {**ours, "with_package": True}, made, "wsgi")
        check_nothing_is_hidden(before, after, MADE_BY_A_VIEW[made][0], decides=False)
        check_once(after)
        assert len(mail.outbox) == mails or made != "500 raised"


def is_kept(handler: dict[str, Any]) -> bool:
    return "mail" in handler.get("()", "") or handler.get("class") == "logging.NullHandler"


def as_shown(handler: dict[str, Any]) -> dict[str, Any]:
    return {"()": Shown, **{name: handler[name] for name in ("formatter", "filters", "level") if name in handler}}


def configure(settings: dict[str, Any]) -> None:
    """Apply *settings* until the process ends."""
    if settings:
        override_settings(**settings).enable()
        call_command("check", fail_level="WARNING")
    if "LOGGING" in settings:
        logging.config.dictConfig(settings["LOGGING"])
        logging.getLogger("a line outside any request").warning("and one inside, of a page that does not exist:")
        assert visit("/") == 404


def use(name: str, thing: Any) -> None:
    """Call *thing*, which a snippet defined as *name*, if it is a view, a test function or a test case."""
    if inspect.isclass(thing) and issubclass(thing, unittest.TestCase):
        result = unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(thing))
        assert result.testsRun
        assert result.wasSuccessful()
    elif inspect.isfunction(thing) and name.startswith("test_"):
        with capture_requests() as captured:
            fixtures = {"captured_requests": captured, "client": Client()}
            thing(**{fixture: fixtures[fixture] for fixture in inspect.signature(thing).parameters})
    elif inspect.isfunction(thing) and list(inspect.signature(thing).parameters) == ["request"]:
        urls.urlpatterns.append(django.urls.path(f"{name}/", thing, name=name))
        django.urls.clear_url_caches()
        assert visit(f"/{name}/") == 200


def visit(path: str) -> int:
    """
    Send a GET of *path* and return its status. The package must not log any failure of its own.

    The request has one line, or is counted as one that settings or decorators leave out.
    """
    before = counts()
    with capture_requests() as lines:
        status: int = Client().get(path).status_code
    after = counts()
    written, left_out = (
        sum(after[name] - before[name] for name in names)
        for names in (["written"], ["excluded", "suppressed", "sampled_out"])
    )
    assert written + left_out == 1
    assert [(line["path"], line["status"]) for line in lines] == [(path, status)] * written
    assert "obs_middleware" not in {log["logger"] for log in lines.logs}
    return status


if __name__ == "__main__":
    django.conf.settings.configure(
        SECRET_KEY="of a test",
        ALLOWED_HOSTS=["testserver"],
        ROOT_URLCONF=urls,
        INSTALLED_APPS=["obs_middleware"],
        MIDDLEWARE=["obs_middleware.middleware.TimingMiddleware"],
        LOGGING=logging_config(),
        ADMINS=["admin@example.com"] if django.VERSION >= (6, 0) else [("Admin", "admin@example.com")],
    )
    django.setup()
    setup_test_environment()  # mail goes to `mail.outbox`
    quiet._is_test_run = lambda: False  # the pages show the lines of a site that serves
    gc.freeze()  # each visit collects garbage, which takes as long as the heap is large
    run(Path(sys.argv[1]))
