"""The example shop, for tests that serve it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from servers.harness import new_shop


@pytest.fixture(name="shop", scope="session")
def _shop(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of a quickstart with products, whose database is not the one that a developer uses."""
    return new_shop(tmp_path_factory.mktemp("shop") / "db.sqlite3", SHOP_LOG_FORMAT="json")
