"""
Name the place in the application that some work comes from: ``shop/views.py:88 in order_lines``.

Measure, a leaf. Code of the application is all code but the standard library, installed packages, Django and this
package.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import django

from obs_middleware.conf import django_setting

__all__ = ["Frames", "place_of"]

Frames = Iterable[tuple[FrameType, int]]
"""Frames with the numbers of their lines, the innermost first, as `traceback.walk_stack` yields them."""

_FURTHEST: Final = 500
"""How many frames are looked at. A recursion of the application may have any number."""

_DJANGO: Final = str(Path(django.__file__).parent)
_OURS: Final = str(Path(__file__).parent.parent)

_ENDS: Final = frozenset(
    {
        # Around each middleware. Those further out only wait for the response, and did not cause the work.
        str(Path(_DJANGO, "core", "handlers", "exception.py")),
        *(str(Path(_OURS, *path.split("/"))) for path in ("middleware.py", "asgi.py", "work/commands.py")),
    }
)
"""Files whose frames are around a unit of work: all frames further out are those of a server or a script."""

_NODE: Final = (str(Path(_DJANGO, "template", "base.py")), "Node.render_annotated")
"""The function of Django that renders one node of a template."""

_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
_COMPREHENSION: Final = re.compile(r"\.<locals>\.<(listcomp|setcomp|dictcomp|genexpr)>")


def place_of(frames: Frames) -> str | None:
    """
    Return the place of the innermost frame of application code, or None if there is none inside the unit of work.

    The file is relative to ``BASE_DIR``, otherwise to the working directory, otherwise to the entry of ``sys.path`` it
    is below. A line of a template of the application is a place too: ``shop/templates/cart.html:7 in template``. A
    comprehension has the name of the function around it.

    This takes about a microsecond for each frame. A file is looked up once. May raise, because the classes of nodes
    and templates are foreign code.
    """
    project = _project()
    for frame, line in islice(frames, _FURTHEST):
        code = frame.f_code
        if code.co_filename in _ENDS:
            return None
        if code.co_qualname == _NODE[1] and code.co_filename == _NODE[0]:
            place = _place_of_node(frame.f_locals.get("self"), project)
        elif (file := _file(code.co_filename, *project)) is not None:
            place = _place_in_jinja(frame, line, file) or f"{file}:{line or code.co_firstlineno} in {_function(code)}"
        else:
            place = None
        if place is not None:
            return place
    return None


def _function(code: CodeType) -> str:
    """Return the name of the function. Before Python 3.12, a comprehension is a function in it."""
    return _COMPREHENSION.sub("", code.co_qualname)


def _place_of_node(node: Any, project: tuple[str, frozenset[str]]) -> str | None:
    name = getattr(getattr(node, "origin", None), "name", None)
    line = getattr(getattr(node, "token", None), "lineno", None)
    # A template from a string or a database has no file.
    if type(name) is not str or type(line) is not int or not Path(name).is_absolute():
        return None
    file = _file(name, *project)
    return None if file is None else f"{file}:{line} in template"


def _place_in_jinja(frame: FrameType, line: int, file: str) -> str | None:
    """Return the place in a template of Jinja, whose code has the file of the template, but other lines."""
    template = frame.f_globals.get("__jinja_template__")
    return None if template is None else f"{file}:{template.get_corresponding_lineno(line)} in template"


def _project() -> tuple[str, frozenset[str]]:
    """Return ``BASE_DIR``, or an empty text, and the names of the packages of the site itself."""
    base = django_setting("BASE_DIR")
    modules = (django_setting(name) for name in ("SETTINGS_MODULE", "ROOT_URLCONF", "WSGI_APPLICATION"))
    packages = frozenset(module.partition(".")[0] for module in modules if isinstance(module, str))
    return (os.fspath(base) if isinstance(base, (str, Path)) else ""), packages


@lru_cache(maxsize=2_048)
def _file(filename: str, base: str, packages: frozenset[str]) -> str | None:
    """Return the name of a file of the application, relative to the project. None: it is not of the application."""
    if filename.startswith("<"):  # made at run time: no file
        return None
    path, real = _absolute(filename), os.path.realpath(filename)
    if any(_relative(one, folder) for one in (path, real) for folder in _FOREIGN):
        return None
    parts = Path(real).parts
    installed = [index for index, part in enumerate(parts) if part in _INSTALLED]
    # The site itself may be installed as a package.
    if installed and parts[installed[-1] + 1].removesuffix(".py") not in packages:
        return None
    names = (
        name
        for folder in _roots(base)
        for one, below in ((path, _absolute(folder)), (real, os.path.realpath(folder)))
        if (name := _relative(one, below))
    )
    return next(names, str(Path(*parts[-2:]))).replace(os.sep, "/")


def _roots(base: str) -> Iterator[str]:
    if base:
        yield base
    try:
        yield str(Path.cwd())
    except OSError:  # it was deleted
        pass
    yield from sorted((entry for entry in sys.path if entry), key=len, reverse=True)


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 -- without ".." but with links, which no method of Path returns


def _relative(path: str, folder: str) -> str | None:
    """Return *path* relative to *folder*; None if it is not below, or if *folder* is the root of all files."""
    start = os.path.normcase(folder.rstrip(os.sep) + os.sep)
    if len(start) > 1 and os.path.normcase(path).startswith(start):
        return path[len(start) :]
    return None


_FOREIGN: Final = frozenset(
    folder
    for one in (_DJANGO, _OURS, *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "scripts")))
    for folder in (_absolute(one), os.path.realpath(one))
)
"""The folders of the standard library, of installed scripts, of Django and of this package."""
