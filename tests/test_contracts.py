"""The rules of the package: import directions, sizes, public names, docstrings, packaging."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import os
import pkgutil
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import django
import pytest
from complexity import functions
from paths import ROOT
from simulated.systems import SIMULATED

import obs_middleware
from obs_middleware.__main__ import COMMANDS

PACKAGE = Path(obs_middleware.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = sorted(
    info.name for info in pkgutil.walk_packages([str(PACKAGE)], "obs_middleware.") if not info.name.endswith("__main__")
)
FOLDERS = {path.parent.name for path in FILES} - {PACKAGE.name}

ENTRY_POINTS = {
    "apps",
    "asgi",
    "checks",
    "conf",
    "decorators",
    "metrics",
    "middleware",
    "pytest_plugin",
    "redaction",
    "testing",
    "__main__",
}
LEAVES = {"counters", "failures", "platforms", "processes", "threads", "when_imported"}
WINGS = {"logs", "measure", "read", "work"}
# Text for people, which `logs` writes and `read` prints in the same form.
SHARED = "display"
# The modules of `measure` that `logs` may import: field names, the event that carries the fields, the ids, the cache.
MEASURED = {"measure.event", "measure.ids", "measure.remembered", "measure.told", "measure.vocabulary"}
# The only import of `read` from another wing: this command prints templates, which `logs` makes from its table of
# fields so that no field is missing. It reads no lines. Locks and the writing to the disk differ between systems.
ELSEWHERE = {
    "read.commands.elastic_template": {"logs.elastic"},
    "read.packs.folder": {"platforms"},
    "read.packs.pack": {"platforms"},
}

DOCUMENTED = {
    "obs_middleware": {
        "annotate",
        "bind",
        "carry",
        "get_request_id",
        "in_flight",
        "logging_config",
        "stats",
        "structlog_config",
        "timed",
        "unbind",
    },
    "obs_middleware.__main__": {"main"},
    "obs_middleware.asgi": {"observed"},
    "obs_middleware.decorators": {"exclude", "quiet", "sample"},
    "obs_middleware.logs.config": {"logging_config", "structlog_config"},
    "obs_middleware.logs.elastic": {"COMPONENT", "component_template", "index_template", "templates"},
    "obs_middleware.logs.filters": {"FoldAccessLines", "FoldDjangoRequests", "QuietInTests", "RequestContextFilter"},
    "obs_middleware.logs.formatters": {
        "ChainFormatter",
        "ConsoleFormatter",
        "JSONFormatter",
        "LogfmtFormatter",
        "TextFormatter",
        "auto_formatter",
    },
    "obs_middleware.logs.handlers": {"LineFileHandler", "LineStreamHandler", "NonBlockingHandler", "mail_admins"},
    "obs_middleware.logs.otlp": {"ExportError", "OTLPHandler"},
    "obs_middleware.logs.processors": {"add_exception", "add_request_context", "escape_controls"},
    "obs_middleware.logs.schemas": {"SCHEMAS", "Own", "Schema", "To"},
    "obs_middleware.metrics": {"metrics"},
    "obs_middleware.middleware": {"TimingMiddleware"},
    "obs_middleware.redaction": {"DEFAULT_NAMES"},
    "obs_middleware.work.tasks": {"CARRIER", "begin", "end", "enqueued", "running", "sent"},
    "obs_middleware.testing": {
        "CapturedRequest",
        "CapturedRequests",
        "capture_requests",
        "captured_requests",
        "parse_line",
    },
}
"""The dotted paths that sites name in their settings, their code and their tests. They never move."""


# Import directions


def name_of(path: Path) -> str:
    """Return the name below the package of the module in *path*."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imported(tree: ast.Module) -> set[str]:
    """Return the modules of the package that *tree* imports when it runs, as names below the package."""
    found: set[str] = set()
    for node in _running(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: a relative import; write the full name"
            module = str(node.module)
            submodules = {f"{module}.{alias.name}" for alias in node.names if is_module(f"{module}.{alias.name}")}
            found.update(submodules or {module})
    return {name.removeprefix("obs_middleware.") for name in found if name.startswith("obs_middleware.")}


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below *node* without the blocks that only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            yield from (inner for other in child.orelse for inner in (other, *_running(other)))
        else:
            yield child
            yield from _running(child)


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


TREES = {name_of(path): ast.parse(path.read_text()) for path in FILES if path != PACKAGE / "__init__.py"}
GRAPH = {name: imported(tree) for name, tree in TREES.items()}


def wing_of(name: str) -> str:
    """Return the top folder that a module is in, or its own name at the top level."""
    return name.partition(".")[0]


def below(folder: str, *allowed: str) -> dict[str, set[str]]:
    """Return the modules in *folder* with what each imports from the package, but from *folder* and *allowed*."""
    return {
        name: {other for other in others if not any(is_below(other, one) for one in (folder, *allowed))}
        for name, others in GRAPH.items()
        if is_below(name, folder)
    }


def is_below(name: str, folder: str) -> bool:
    return f"{name}.".startswith(f"{folder}.")


def test_the_top_level_has_entry_points_leaves_and_wings() -> None:
    assert {wing_of(name) for name in GRAPH} == ENTRY_POINTS | LEAVES | WINGS | {SHARED}


def test_leaves_import_only_leaves() -> None:
    for name in LEAVES:
        assert GRAPH[name] <= LEAVES, name


def test_display_imports_nothing_of_the_package() -> None:
    for name, others in below(SHARED).items():
        assert others <= {"platforms"}, name


def test_measure_imports_no_other_wing() -> None:
    for name, others in below("measure").items():
        assert others <= {"conf", "redaction"} | LEAVES, name


def test_logs_imports_of_measure_only_four_leaves() -> None:
    for name, others in below("logs", SHARED).items():
        assert others <= MEASURED | LEAVES | {"conf", "redaction"}, name


def test_work_imports_of_the_other_wings_only_measure() -> None:
    for name, others in below("work").items():
        assert {one for one in others if wing_of(one) != "measure"} <= {"conf", "redaction"} | LEAVES, name


def test_only_entry_points_import_work() -> None:
    importing = {name for name, others in GRAPH.items() if any(is_below(one, "work") for one in others)}
    assert {wing_of(name) for name in importing} <= ENTRY_POINTS | {"work"}


def test_read_imports_no_other_wing_but_for_the_templates() -> None:
    for name, others in below("read", SHARED).items():
        assert others == ELSEWHERE.get(name, set()), name


SYSTEMS = {"platforms", "logs.sinks.inotify"}
"""The modules that may differ between systems. The second raises OSError where there is no inotify."""

SYSTEM_MODULES = {"fcntl", "grp", "msvcrt", "pty", "pwd", "resource", "select", "syslog", "termios", "tty", "winreg"}


def test_only_two_modules_use_what_some_systems_lack() -> None:
    lacking = {f"{module}.{name}" for one in SIMULATED.values() for module, lost in one.names.items() for name in lost}
    lacking |= {"sys.platform", "os.name"}
    for name, tree in TREES.items():
        for node in ast.walk(tree) if name not in SYSTEMS else ():
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert SYSTEM_MODULES.isdisjoint(modules), name
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert f"{node.value.id}.{node.attr}" not in lacking, name


def test_read_and_display_do_not_import_django() -> None:
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [module or ""]
            assert wing_of(name) not in {"read", SHARED} or not any(is_below(one, "django") for one in names), name


def test_the_data_modules_of_read_do_not_import_commands_or_the_presentation() -> None:
    presentation = ("read.show", "read.commands")
    for name, others in GRAPH.items():
        if is_below(name, "read") and not any(is_below(name, folder) for folder in presentation):
            assert not {one for one in others if any(is_below(one, folder) for folder in presentation)}, name


def test_files_and_index_do_not_import_each_other() -> None:
    for folder, other in (("read.files", "read.index"), ("read.index", "read.files")):
        for name, others in below(folder).items():
            assert not {one for one in others if is_below(one, other)}, name


def test_lines_sinks_and_schemas_do_not_import_the_entry_points_of_logs() -> None:
    for folder in ("logs.line", "logs.sinks", "logs.schemas"):
        for name, others in below(folder).items():
            assert not {one for one in others if re.fullmatch(r"logs\.[a-z]+", one)} - {"logs.options"}, name


def test_the_presentation_imports_no_backend() -> None:
    for name, others in below("read.show").items():
        assert not {one for one in others if wing_of(one) == "read" and one.count(".") > 1}, name


def test_the_console_script_imports_a_command_only_when_it_runs() -> None:
    assert GRAPH["__main__"] == {"platforms"}


def test_the_console_script_and_a_settings_file_import_little() -> None:
    """The names of the package are imported when first used."""
    script = (
        "import sys; from obs_middleware.__main__ import main; from obs_middleware import logging_config, stats;"
        "print(*{'asyncio', 'django', 'structlog', 'obs_middleware.measure'} & set(sys.modules))"
    )

    assert subprocess.check_output([sys.executable, "-c", script], text=True, timeout=60) == "\n"


def test_a_command_is_the_module_of_its_name() -> None:
    modules = {path.stem for path in (PACKAGE / "read" / "commands").glob("[!_]*.py")}

    assert modules == {name.replace("-", "_") for name in COMMANDS}


def test_commands_do_not_import_one_another() -> None:
    """They share only the modules of their folder that begin with an underscore."""
    for name, others in GRAPH.items():
        if is_below(name, "read.commands"):
            commands = {one for one in others if is_below(one, "read.commands")}
            assert {one for one in commands if not one.startswith("read.commands._")} == set(), name


def test_there_is_no_cycle_of_imports() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for other in GRAPH.get(name, ()):
                visit(other, (*path, name))
            done.add(name)

    for name in GRAPH:
        visit(name, ())


def test_no_import_is_renamed_to_a_folder_or_an_entry_point_of_the_package() -> None:
    """In a package with a folder `read`, the name `read` means that folder."""
    for name, tree in TREES.items():
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        renamed = {alias.asname for node in nodes for alias in node.names if alias.asname != alias.name}
        assert not renamed & (FOLDERS | ENTRY_POINTS | LEAVES), name


def test_only_conf_reads_the_settings() -> None:
    reading = {name_of(path) for path in FILES if "from django.conf import" in path.read_text()}

    assert reading == {"conf.current"}


# Sizes

LONGEST = 350

MOST_COMPLEX = 15
REQUEST_PATH = {
    # Once per request. Each call that a split would add is paid by every request.
    "FactReader.read",
    "Policy.decide",
    "TimingMiddleware.begin",
    "TimingMiddleware.finish",
    # Once per line, field or value of a line, for the same reason.
    "Cleaner.clean_fields",
    "FoldDjangoRequests.filter",
    "usual_fields",
    "Translation.__call__",
    "Walk._object",
}
"""Functions on the path of every request or line, which may be more complex than `MOST_COMPLEX`."""


def test_no_module_is_longer_than_350_lines() -> None:
    for path in FILES:
        assert len(path.read_text().splitlines()) <= LONGEST, name_of(path)


def test_only_the_request_path_has_functions_more_complex_than_15() -> None:
    for path in FILES:
        for name, complexity in functions(path.read_text()):
            assert name in REQUEST_PATH or complexity <= MOST_COMPLEX, f"{name_of(path)}.{name}"


def test_complexity_is_counted_as_radon_counts_it() -> None:
    source = """
class Shop:
    def sell(self, items, customer):
        assert items
        try:
            for item in [item for item in items if item.price and item.weight]:
                if item.sold or (item.kept and not customer):
                    continue
        except ValueError:
            return None
        else:
            return 1 if items else 2
        def nested():
            while True:
                pass
"""

    # One, assert, except, else, for, the comprehension, its if, `and`, if, `or`, `and`, and the conditional expression.
    assert dict(functions(source)) == {"Shop.sell": 12, "Shop.sell.nested": 2}


# Public names and docstrings


@pytest.fixture(name="module", params=["obs_middleware", *MODULES])
def _module(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_names_can_be_imported_from_their_paths(name: str) -> None:
    module = importlib.import_module(name)

    assert {public for public in DOCUMENTED[name] if not hasattr(module, public)} == set()
    assert DOCUMENTED[name] <= set(module.__all__)


def test_the_package_exports_exactly_its_documented_names() -> None:
    assert set(obs_middleware.__all__) == DOCUMENTED["obs_middleware"]


def test_every_module_has_a_docstring(module: ModuleType) -> None:
    assert module.__doc__


def test_public_names_exist_and_are_documented(module: ModuleType) -> None:
    public = getattr(module, "__all__", [])
    for name in public:
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), name


def test_every_public_definition_is_exported(module: ModuleType) -> None:
    """A function or class whose name has no underscore in front is public, so ``__all__`` lists it."""
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


def test_the_package_has_its_names_before_they_are_used_and_no_others() -> None:
    script = (
        "import obs_middleware as package; assert set(package.__all__) <= set(dir(package));"
        "from obs_middleware import *; assert bind is package.bind is vars(package)['bind'];"
        "package.bnid"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)

    assert result.stderr.endswith("AttributeError: module 'obs_middleware' has no attribute 'bnid'\n")


def test_the_version_is_the_newest_in_the_changelog() -> None:
    newest = re.search(r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert newest is not None
    assert newest[1] == importlib.metadata.version("obs-middleware")


def test_the_runtime_needs_three_packages() -> None:
    required = importlib.metadata.requires("obs-middleware") or []
    runtime = {re.split(r"[^a-z-]", one)[0] for one in required if "extra ==" not in one}

    assert runtime == {"django", "structlog", "python-json-logger"}


def test_a_pair_of_the_matrix_has_the_versions_of_its_name() -> None:
    """If a package for the tests needs an older Django, pip replaces the one of the pair without a word."""
    pair = re.fullmatch(r"py3(\d+)-django(\d)(\d)", os.environ.get("TOX_ENV_NAME", ""))
    if pair is None:
        pytest.skip("only tox has pairs")

    assert (sys.version_info.minor, *django.VERSION[:2]) == tuple(map(int, pair.groups()))


def test_every_link_of_the_package_page_leads_into_the_repository(dist: Path) -> None:
    """A package index shows the README without the files beside it. A picture needs the address of its bytes."""
    (wheel,) = dist.glob("*.whl")
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    page = archive.read(name).decode()
    (source,) = re.findall(r"^Project-URL: Source, (.+)$", page, re.MULTILINE)
    bases = {
        "": f"{source}/blob/main/",
        "!": f"{source.replace('github.com', 'raw.githubusercontent.com')}/main/",
    }
    links = [link for link in re.findall(r"(!?)\[[^]]*\]\(([^)\s]+)\)", page) if not link[1].startswith("#")]

    assert len([mark for mark, _ in links if mark]) == page.count("![") == 2
    for mark, target in links:
        assert target.startswith(bases[mark]), target
        assert (ROOT / target.removeprefix(bases[mark]).partition("#")[0]).is_file(), target


def test_the_wheel_contains_the_package_and_its_types(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())

    expected = {f"obs_middleware/{path.relative_to(PACKAGE).as_posix()}" for path in PACKAGE.rglob("*.py")}
    assert expected | {"obs_middleware/py.typed"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"obs_middleware"}


def test_the_source_archive_contains_tests_and_examples(dist: Path) -> None:
    import tarfile  # noqa: PLC0415 -- used here alone

    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}

    assert {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "Makefile", "tests/conftest.py"} <= names
    assert "examples/quickstart/manage.py" in names
    assert not {name for name in names if "__pycache__" in name or name.endswith(".sqlite3")}
