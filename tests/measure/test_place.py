"""`obs_middleware.measure.place`: the frame of the application that some work comes from, and its name."""

from __future__ import annotations

import importlib.util
import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import Site
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import override_settings

from obs_middleware.measure import place
from obs_middleware.measure.callers import callers
from obs_middleware.measure.context import timed
from obs_middleware.measure.place import place_of

Load = Callable[..., ModuleType]


def here() -> str | None:
    """Return the place of the caller."""
    return place_of(callers(sys._getframe(1)))


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Forget which files are of the application: tests make files, and change the working directory."""
    place._file.cache_clear()
    yield
    place._file.cache_clear()


@pytest.fixture(name="load")
def _load(tmp_path: Path) -> Load:
    """Load a module from a file below *tmp_path*. Its functions call `here` by that name."""

    def load(file: str, source: str) -> ModuleType:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source).lstrip())
        spec = importlib.util.spec_from_file_location("loaded", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        vars(module)["here"] = here
        spec.loader.exec_module(module)
        return module

    return load


ASKING = """
def order_lines():
    return here()
"""


def test_the_file_is_relative_to_the_base_directory(load: Load, tmp_path: Path) -> None:
    module = load("site/shop/views.py", ASKING)

    for base in (tmp_path / "site", str(tmp_path / "site"), f"{tmp_path / 'site'}/"):
        with override_settings(BASE_DIR=base):
            assert module.order_lines() == "shop/views.py:2 in order_lines"


def test_without_it_the_working_directory_and_the_path_of_modules_are_used(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("site/shop/views.py", ASKING)

    assert module.order_lines() == "shop/views.py:2 in order_lines"  # the last two parts, of no folder that is known
    place._file.cache_clear()
    monkeypatch.syspath_prepend(str(tmp_path / "site" / "shop"))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert module.order_lines() == "views.py:2 in order_lines"
    place._file.cache_clear()
    monkeypatch.chdir(tmp_path / "site")
    assert module.order_lines() == "shop/views.py:2 in order_lines"
    place._file.cache_clear()
    monkeypatch.chdir("/")
    assert module.order_lines() == "views.py:2 in order_lines"


def test_a_base_directory_of_another_kind_is_ignored(load: Load, tmp_path: Path, monkeypatch: Any) -> None:
    module = load("shop/views.py", ASKING)
    monkeypatch.chdir(tmp_path)

    for base in (None, 7, object()):
        with override_settings(BASE_DIR=base):
            assert module.order_lines() == "shop/views.py:2 in order_lines"


def test_a_working_directory_that_was_deleted_is_no_failure(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("shop/views.py", ASKING)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    with override_settings(BASE_DIR=tmp_path):
        assert module.order_lines() == "shop/views.py:2 in order_lines"
    assert module.order_lines() == "shop/views.py:2 in order_lines"


def test_links_are_followed_where_only_one_side_has_them(load: Load, tmp_path: Path) -> None:
    """A release is often started below a link, while ``BASE_DIR`` is resolved."""
    (tmp_path / "releases" / "7").mkdir(parents=True)
    (tmp_path / "current").symlink_to(tmp_path / "releases" / "7")
    module = load("current/shop/views.py", ASKING)

    with override_settings(BASE_DIR=tmp_path / "releases" / "7"):
        assert module.order_lines() == "shop/views.py:2 in order_lines"


@pytest.mark.parametrize(
    "folder",
    [".venv/lib/python3.13/site-packages/slugs", "env/lib/python3/dist-packages"],
    ids=["site-packages", "dist-packages"],
)
def test_an_installed_package_is_not_of_the_application(load: Load, tmp_path: Path, folder: str) -> None:
    """Also not if the virtual environment is inside the project."""
    library = load(f"{folder}/library.py", "def call(function):\n    return function()\n")
    module = load("shop/views.py", "def view(call):\n    return call(here)\n")

    with override_settings(BASE_DIR=tmp_path):
        assert library.call(here) != f"{folder}/library.py:2 in call"
        assert module.view(library.call) == "shop/views.py:2 in view"


def test_a_site_that_is_installed_as_a_package_is_of_the_application(load: Load, tmp_path: Path) -> None:
    module = load("lib/site-packages/shop/views.py", ASKING)

    with override_settings(BASE_DIR=tmp_path / "lib" / "site-packages", ROOT_URLCONF="shop.urls"):
        assert module.order_lines() == "shop/views.py:2 in order_lines"
    with override_settings(BASE_DIR=tmp_path / "lib" / "site-packages"):
        assert module.order_lines() != "shop/views.py:2 in order_lines"


def test_code_without_a_file_the_standard_library_and_this_package_are_passed_over() -> None:
    space: dict[str, Any] = {"here": here}
    exec("def made(): return here()", space)  # as a class of data is made

    @timed("work")
    def outer() -> Any:
        return json.loads("1", parse_int=lambda _: space["made"]())

    found = outer()

    # json.loads() and timed() are between the two.
    assert found.startswith("tests/measure/test_place.py:")
    assert found.endswith("<locals>.outer.<locals>.<lambda>")


@pytest.mark.parametrize(
    "source",
    [
        "[here() for _ in 'a'][0]",
        "list({here() for _ in 'a'})[0]",
        "{1: here() for _ in 'a'}[1]",
        "next(here() for _ in 'a')",
    ],
    ids=["list", "set", "dict", "generator"],
)
def test_a_comprehension_has_the_name_of_its_function(load: Load, tmp_path: Path, source: str) -> None:
    module = load("shop/views.py", f"class Cart:\n    def lines(self):\n        return {source}\n")

    with override_settings(BASE_DIR=tmp_path):
        assert module.Cart().lines() == "shop/views.py:3 in Cart.lines"


# Templates


def test_a_line_of_a_template_is_a_place(load: Load, tmp_path: Path) -> None:
    """It says more than the line of the view that renders the template."""
    view = load("shop/views.py", "def view(template):\n    return template.render({'here': here, 'many': [1]})\n").view
    (tmp_path / "shop" / "cart.html").write_text("<ul>\n{% for one in many %}\n  <li>{{ here }}\n{% endfor %}")
    django = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path / "shop"]}]

    with override_settings(BASE_DIR=tmp_path, TEMPLATES=django):
        assert "shop/cart.html:3 in template" in view(engines["django"].get_template("cart.html"))
        # A template without a file has no place, so the view is named.
        assert view(engines["django"].from_string("{{ here }}")) == "shop/views.py:2 in view"


def test_a_template_that_is_installed_is_no_place(load: Load, tmp_path: Path) -> None:
    view = load("shop/views.py", "def view(template):\n    return template.render({'here': here})\n").view
    templates = tmp_path / "lib" / "site-packages" / "grid"
    templates.mkdir(parents=True)
    (templates / "grid.html").write_text("{{ here }}")
    django = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [templates]}]

    with override_settings(BASE_DIR=tmp_path, TEMPLATES=django):
        assert view(engines["django"].get_template("grid.html")) == "shop/views.py:2 in view"


@pytest.mark.skipif(importlib.util.find_spec("jinja2") is None, reason="jinja2 is not installed")
def test_a_line_of_a_template_of_jinja_is_a_place(load: Load, tmp_path: Path) -> None:
    view = load("shop/views.py", "def view(template):\n    return template.render({'here': here})\n").view
    (tmp_path / "shop" / "cart.html").write_text("<ul>\n{% for one in 'a' %}\n  <li>{{ here() }}\n{% endfor %}")
    jinja = [{"BACKEND": "django.template.backends.jinja2.Jinja2", "DIRS": [tmp_path / "shop"]}]

    with override_settings(BASE_DIR=tmp_path, TEMPLATES=jinja):
        assert "shop/cart.html:3 in template" in view(engines["jinja2"].get_template("cart.html"))
        assert view(engines["jinja2"].from_string("{{ here() }}")) == "shop/views.py:2 in view"


# The end of the unit of work


def seen_by_a_view() -> tuple[list[str | None], Callable[..., HttpResponse]]:
    """Return a list, and a view that appends the place outside itself to it."""
    found: list[str | None] = []

    def view(request: HttpRequest) -> HttpResponse:
        frame = sys._getframe(1)  # below, all code is Django's
        found.append(place_of(callers(frame)))
        return HttpResponse()

    return found, view


def passing(get_response: Any) -> Any:
    """Return a middleware that passes all on."""

    def middleware(request: HttpRequest) -> Any:
        return get_response(request)

    return middleware


@pytest.mark.usefixtures("without_debug_mode")
def test_the_middleware_and_the_server_around_a_view_are_no_place(mode: str) -> None:
    """They wait for it. A page of Django's admin has no code of the application below them."""
    found, view = seen_by_a_view()

    Site(mode).get(view, MIDDLEWARE=["obs_middleware.middleware.TimingMiddleware", f"{__name__}.passing"])

    assert found == [None]


def asking(get_response: Any) -> Any:
    """Return a middleware that has work of its own."""

    def middleware(request: HttpRequest) -> Any:
        request.META["place"] = here()
        return get_response(request)

    return middleware


def test_the_work_of_a_middleware_has_a_place(mode: str) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.META["place"])

    response = Site(mode).get(view, MIDDLEWARE=["obs_middleware.middleware.TimingMiddleware", f"{__name__}.asking"])

    assert response.content.decode().endswith(" in asking.<locals>.middleware")


def test_only_so_many_frames_are_looked_at() -> None:
    foreign = json.loads("1", parse_int=lambda _: sys._getframe(1))
    ours = sys._getframe()

    assert place_of([(foreign, 1)] * 499 + [(ours, 7)]) is not None
    assert place_of([(foreign, 1)] * 500 + [(ours, 7)]) is None


def test_a_file_is_looked_up_once(load: Load, tmp_path: Path) -> None:
    module = load("shop/views.py", ASKING)
    with override_settings(BASE_DIR=tmp_path):
        module.order_lines()
        before = place._file.cache_info()
        module.order_lines()

    after = place._file.cache_info()
    assert (after.misses, after.maxsize) == (before.misses, 2048)


def test_the_names_of_django_are_still_there() -> None:
    """A canary. If it fails, look for the function that renders a node, and for what surrounds each middleware."""
    from django.core.handlers import exception  # noqa: PLC0415 -- of this test
    from django.template.base import Node  # noqa: PLC0415 -- as above

    assert (Node.render_annotated.__code__.co_filename, Node.render_annotated.__code__.co_qualname) == place._NODE
    inner = exception.convert_exception_to_response(lambda request: HttpResponse())
    assert inner.__code__.co_filename in place._ENDS
    assert all(Path(file).is_file() for file in place._ENDS)
