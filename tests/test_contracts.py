"""The house rules: import directions, public names, docstrings, packaging, docs that agree with the code."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import pkgutil
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from paths import ROOT

import obs_middleware
from obs_middleware.__main__ import COMMANDS

PACKAGE = Path(obs_middleware.__file__).parent
MODULES = sorted(
    info.name for info in pkgutil.walk_packages([str(PACKAGE)], "obs_middleware.") if not info.name.endswith("__main__")
)
ENTRY_POINTS = {"apps", "asgi", "checks", "conf", "decorators", "middleware", "redaction", "testing", "__main__"}
LEAVES = {"counters", "failures"}
WINGS = {"logs", "measure", "read"}
# What `logs` may know of `measure`: names, the event that carries them, and the ids.
MEASURED = {"measure.event", "measure.ids", "measure.vocabulary"}

# The only import of `read` from another wing: this command prints templates, which `logs` makes from its table of
# fields so that no field is missing. It reads no lines.
ELSEWHERE = {"read.commands.elastic_template": {"logs.elastic"}}


def imports(path: Path) -> set[str]:
    """Modules of the package that the file imports when it runs, as paths below the package."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    guarded = {id(n) for node in ast.walk(tree) if _is_type_checking(node) for n in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and id(node) not in guarded:
            module = f"{node.module}."
            if module.startswith("obs_middleware."):
                inside = module.removeprefix("obs_middleware.")
                submodules = {inside + alias.name for alias in node.names if is_module(inside + alias.name)}
                found.update(submodules or {inside.removesuffix(".")})
    return found


def is_module(name: str) -> bool:
    path = PACKAGE.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def graph() -> dict[str, set[str]]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): imports(path)
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "__init__.py"
    }


def wing_of(name: str) -> str:
    """The folder that a module is in, or its own name at the top level."""
    return name.partition(".")[0]


def test_measure_imports_nothing_of_the_other_wings() -> None:
    for name, imported in graph().items():
        if wing_of(name) == "measure":
            assert {wing_of(one) for one in imported} <= {"measure", "conf", "redaction"} | LEAVES, name


def test_write_knows_of_measure_only_the_vocabulary_the_event_and_the_ids() -> None:
    for name, imported in graph().items():
        if wing_of(name) == "logs":
            others = {one for one in imported if wing_of(one) != "logs"}
            assert others <= MEASURED | LEAVES | {"conf", "redaction"}, name


def test_read_knows_lines_and_nothing_of_the_other_wings() -> None:
    for name, imported in graph().items():
        if wing_of(name) == "read":
            others = {one for one in imported if wing_of(one) != "read"}
            assert others == ELSEWHERE.get(name, set()), name


def test_leaves_import_nothing_of_the_package() -> None:
    for name in LEAVES:
        assert graph()[name] == set(), name


def test_every_module_has_its_room() -> None:
    assert {wing_of(name) for name in graph()} == ENTRY_POINTS | LEAVES | WINGS


def test_the_console_script_imports_a_command_only_when_it_is_asked_for() -> None:
    assert graph()["__main__"] == set()


def test_a_command_is_the_module_of_its_name() -> None:
    modules = {path.stem for path in (PACKAGE / "read" / "commands").glob("[!_]*.py")}

    assert modules == {name.replace("-", "_") for name in COMMANDS}


def test_commands_do_not_import_one_another() -> None:
    """They share only the modules of their folder that begin with an underscore."""
    for name, imported in graph().items():
        if name.startswith("read.commands."):
            commands = {one for one in imported if one.startswith("read.commands.")}
            assert {one for one in commands if not one.startswith("read.commands._")} == set(), name


def test_read_knows_nothing_of_django() -> None:
    for path in (PACKAGE / "read").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) django", path.read_text(), re.MULTILINE), path


def test_there_is_no_ring_of_imports() -> None:
    edges = graph()
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for other in edges.get(name, ()):
                visit(other, (*path, name))
            done.add(name)

    for name in edges:
        visit(name, ())


def test_only_conf_reads_the_settings() -> None:
    reading = {path.name for path in PACKAGE.rglob("*.py") if "from django.conf import" in path.read_text()}

    assert reading == {"conf.py"}


@pytest.fixture(name="module", params=["obs_middleware", *MODULES])
def _module(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def test_every_module_says_what_it_answers(module: ModuleType) -> None:
    assert module.__doc__


def test_public_names_exist_and_are_documented(module: ModuleType) -> None:
    public = getattr(module, "__all__", [])
    for name in public:
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), name


def test_every_public_definition_is_exported(module: ModuleType) -> None:
    """A function or class without an underscore is public: then it is in ``__all__``."""
    defined = {
        name
        for name, thing in vars(module).items()
        if (inspect.isclass(thing) or inspect.isfunction(thing))
        and thing.__module__ == module.__name__
        and not name.startswith("_")
    }
    assert defined <= set(getattr(module, "__all__", []))


def test_public_methods_are_documented(module: ModuleType) -> None:
    for name in getattr(module, "__all__", []):
        thing = getattr(module, name)
        if inspect.isclass(thing) and thing.__module__ == module.__name__:
            for member, value in vars(thing).items():
                if inspect.isfunction(value) and not member.startswith("_"):
                    assert value.__doc__ or getattr(getattr(thing.__base__, member, None), "__doc__", None), member


# Packaging


def test_the_version_is_the_newest_in_the_changelog() -> None:
    newest = re.search(r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert newest is not None
    assert newest[1] == importlib.metadata.version("obs-middleware")


def test_the_runtime_needs_three_packages() -> None:
    required = importlib.metadata.requires("obs-middleware") or []
    runtime = {re.split(r"[^a-z-]", one)[0] for one in required if "extra ==" not in one}

    assert runtime == {"django", "structlog", "python-json-logger"}


@pytest.fixture(name="dist", scope="session")
def _dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    return folder


def test_the_wheel_holds_the_package_and_its_types(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())

    expected = {f"obs_middleware/{path.relative_to(PACKAGE).as_posix()}" for path in PACKAGE.rglob("*.py")}
    assert expected | {"obs_middleware/py.typed"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"obs_middleware"}


def test_the_source_distribution_holds_tests_and_examples(dist: Path) -> None:
    import tarfile  # noqa: PLC0415 -- used here alone

    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}

    assert {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "Makefile", "tests/conftest.py"} <= names
    assert "examples/quickstart/manage.py" in names
    assert not {name for name in names if "__pycache__" in name or name.endswith(".sqlite3")}
