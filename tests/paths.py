"""The folders of the repository. Test modules import these, so that they can move."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs"
TESTS: Final = ROOT / "tests"
DATA: Final = TESTS / "data"
