"""The pages and files for contributors: names that exist, links, schemas of the forge, versions, release notes."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from paths import ROOT
from test_docs import HEADING, LINK, classified, prose, slug

PAGES: Final = [
    *(
        ROOT / name
        for name in ("ARCHITECTURE.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md")
    ),
    ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md",
]
FORGE: Final = ROOT / ".github"
WORKFLOWS: Final = sorted((FORGE / "workflows").glob("*.yml"))
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CODE: Final = re.compile(r"`([^`\n]+)`")
ROOMS: Final = re.compile(r"^\| `(\S+)/` \|", re.MULTILINE)


@pytest.fixture(name="page", params=PAGES, ids=lambda page: page.name)
def _page(request: pytest.FixtureRequest) -> Path:
    page: Path = request.param
    return page


def workflow(name: str) -> dict[str, Any]:
    """Return the workflow in the file *name*. YAML reads the key ``on`` as true."""
    loaded: dict[str, Any] = yaml.safe_load((FORGE / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))
    return loaded


# Pages


def test_every_link_of_a_page_has_a_target(page: Path) -> None:
    for match in LINK.finditer(prose(page.read_text(encoding="utf-8"))):
        target, _, fragment = match["target"].partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.is_file(), match["target"]
        if fragment:
            assert fragment in map(slug, HEADING.findall(prose(file.read_text(encoding="utf-8")))), match["target"]


def test_every_make_command_of_a_page_or_a_workflow_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    hooks = ROOT / ".pre-commit-config.yaml"
    named = {
        name
        for file in (*PAGES, *WORKFLOWS, hooks)
        for names in re.findall(
            r"(?:\$ |`|run: |entry: |^ {8,})make ((?: ?[a-z-]+\b(?!=))+)",
            file.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        for name in names.split()
    }

    assert {"check", "dist", "docs", "lint", "release-notes", "types"} <= named <= targets


def test_the_files_and_folders_that_the_architecture_names_are_there() -> None:
    named = [name for name in CODE.findall((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")) if "/" in name]

    assert len(named) > 30
    for name in named:
        assert (ROOT / name).exists() or (ROOT / "obs_middleware" / name).exists(), name


def test_the_architecture_has_every_room() -> None:
    """A folder is a wing of the package, or what two wings share. The settings have one, too, and no row."""
    package = ROOT / "obs_middleware"
    folders = {path.parent.name for path in package.glob("*/__init__.py")}

    rooms = ROOMS.findall((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    assert {f"obs_middleware/{name}" for name in folders - {"conf"}} == set(rooms)


def test_the_newest_version_is_supported() -> None:
    rows = re.findall(r"^\| (\S+) \| yes \|$", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert rows == [PROJECT["project"]["version"].rpartition(".")[0]]


# What the package says about itself


def test_the_metadata_leads_to_the_repository() -> None:
    metadata = importlib.metadata.metadata("obs-middleware")
    urls = dict(one.split(", ") for one in metadata.get_all("Project-URL") or [])

    assert metadata["Author"] == metadata["Maintainer"] == "obs-middleware contributors"
    assert set(urls) == {"Changelog", "Documentation", "Issues", "Security", "Source"}
    for label, url in urls.items():
        assert url.startswith(urls["Source"]), label
        if "/blob/main/" in url:
            assert (ROOT / url.partition("/blob/main/")[2]).is_file(), label
    config = yaml.safe_load((FORGE / "ISSUE_TEMPLATE" / "config.yml").read_text(encoding="utf-8"))
    assert [link["url"] for link in config["contact_links"]] == [f"{urls['Source']}/security/advisories/new"]


# The forge


def check_schema(schema: str, *files: Path) -> None:
    """Check *files* against a schema that check-jsonschema ships."""
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_files_of_the_forge_keep_their_schemas() -> None:
    templates = FORGE / "ISSUE_TEMPLATE"
    forms = sorted(set(templates.glob("*.yml")) - {templates / "config.yml"})

    assert len(WORKFLOWS) >= 3
    assert len(forms) == 2
    check_schema("vendor.github-workflows", *WORKFLOWS)
    check_schema("vendor.github-issue-forms", *forms)
    check_schema("vendor.github-issue-config", templates / "config.yml")


def test_the_workflow_the_pairs_of_tox_and_the_classifiers_agree() -> None:
    jobs = workflow("tests")["jobs"]
    pairs = {one["pair"]: one["python"] for one in jobs["pairs"]["strategy"]["matrix"]["include"]}
    systems = jobs["systems"]["strategy"]["matrix"]

    assert list(pairs) == PROJECT["tool"]["tox"]["env_list"]
    for pair, python in pairs.items():
        assert pair.startswith(f"py{python.replace('.', '')}-")
    pythons = classified(PROJECT, "Programming Language :: Python :: ")
    assert set(pairs.values()) == set(systems["python"]) == pythons
    assert jobs["checks"]["steps"][1]["with"]["python-version"] == PROJECT["project"]["requires-python"].lstrip(">=")
    assert set(systems["system"]) == {"windows-latest", "macos-latest"}
    classifiers = " ".join(PROJECT["project"]["classifiers"])
    assert all(
        f"Operating System :: {name}" in classifiers for name in ("MacOS", "Microsoft :: Windows", "POSIX :: Linux")
    )


def test_only_the_jobs_that_publish_may_write() -> None:
    for path in WORKFLOWS:
        loaded = workflow(path.stem)
        assert loaded["permissions"] == {"contents": "read"}, path.name
        for name, job in loaded["jobs"].items():
            writes = "write" in job.get("permissions", {}).values()
            assert writes == (name in {"announce", "publish"}), f"{path.name}: {name}"
            for step in job["steps"]:
                assert "@" in step.get("uses", "@"), "an action without a version"
                assert "secrets." not in str(step)


def test_a_version_is_published_without_a_password_and_after_its_tests() -> None:
    jobs = workflow("release")["jobs"]
    (upload,) = (step for step in jobs["publish"]["steps"] if "pypi-publish" in step["uses"])

    assert "with" not in upload
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert (jobs["publish"]["needs"], jobs["announce"]["needs"]) == ("build", "publish")
    assert any("tox run" in step.get("run", "") for step in jobs["build"]["steps"])
    assert jobs["publish"]["environment"] in (ROOT / "RELEASING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("tag", "passes"), [("v{}", True), ("v{}.1", False), ("v9.9", False)])
def test_a_release_needs_a_tag_of_this_version(tag: str, passes: bool, tmp_path: Path) -> None:
    """The step of the workflow runs in a copy of the files that it reads."""
    version = PROJECT["project"]["version"]
    (step,) = (step for step in workflow("release")["jobs"]["build"]["steps"] if "release-notes" in step.get("run", ""))
    for name in ("pyproject.toml", "Makefile", "CHANGELOG.md"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    result = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],  # as the forge starts it
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "GITHUB_REF_NAME": tag.format(version)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (result.returncode == 0) == passes, result.stderr
    if passes:
        assert (tmp_path / "notes.md").read_text(encoding="utf-8").strip() in (ROOT / "CHANGELOG.md").read_text(
            encoding="utf-8"
        )


# Release notes


def notes(version: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--silent", "release-notes", f"VERSION={version}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_release_notes_are_the_section_of_a_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d[^]]*)\] - (\d{4}-\d\d-\d\d)$", text, re.MULTILINE)
    sections = re.split(r"^## .*\n", text, flags=re.MULTILINE)[1:]

    assert len(versions) == len(sections)
    assert [notes(version).stdout for version, _ in versions] == sections


@pytest.mark.parametrize("version", ["", "0.2", "0.2.01", "9.9.9"])
def test_a_version_without_a_section_has_no_release_notes(version: str) -> None:
    result = notes(version)

    assert result.returncode != 0
    assert result.stdout == ""
    assert f"CHANGELOG.md has no section of version '{version}'\n" in result.stderr


def test_a_version_begins_with_a_few_lines_for_people() -> None:
    lead = notes(PROJECT["project"]["version"]).stdout.partition("###")[0].strip()

    assert 3 <= len(lead.splitlines()) <= 7
