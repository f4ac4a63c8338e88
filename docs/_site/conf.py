"""The configuration of Sphinx. `make docs` builds the site; nothing in it is loaded from elsewhere."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from pygments.lexers.special import TextLexer  # noqa: E402 -- below the path
from site_source import to_site  # noqa: E402 -- beside this file

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PROJECT = tomllib.loads((HERE.parent.parent / "pyproject.toml").read_text())["project"]
REPOSITORY = f"{PROJECT.get('urls', {}).get('Source', '')}/blob/main/"

project = PROJECT["name"]
version = release = PROJECT["version"]
extensions = ["myst_parser", "sphinx_copybutton", "sphinx_design"]
exclude_patterns = ["_site"]
nitpicky = True
smartquotes = False  # it would change the dashes of options

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"{project} {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_selector = "div.highlight pre"


def setup(app: Sphinx) -> None:
    """Read each page through `to_site`."""

    def read(_: Sphinx, page: str, source: list[str]) -> None:
        source[0] = to_site(page, source[0], REPOSITORY)

    app.connect("source-read", read)
    for language in ("http", "logsql"):  # a request as consoles of search engines take it, and a query of VictoriaLogs
        app.add_lexer(language, TextLexer)
