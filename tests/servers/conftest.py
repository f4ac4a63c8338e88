from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from servers.harness import QUICKSTART


@pytest.fixture(name="shop", scope="session")
def _shop(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of a quickstart whose shelves are full, apart from the one a developer may be playing with."""
    database: Path = tmp_path_factory.mktemp("shop") / "db.sqlite3"
    env = {"DJANGO_SETTINGS_MODULE": "shop.settings", "SHOP_DATABASE": str(database), "SHOP_LOG_FORMAT": "json"}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v", "0"], cwd=QUICKSTART, env={**os.environ, **env}, check=True
    )
    return env
