"""A plugin for ``pytest -p ahead``: keeps the simulation ahead of pytest, which finds modules in its own way."""

from __future__ import annotations

import sys

_finder = sys.modules["sitecustomize"].FINDER
sys.meta_path.remove(_finder)
sys.meta_path.insert(0, _finder)
