"""The quickstart as a newcomer uses it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from servers.harness import QUICKSTART


def run(*command: str, env: Mapping[str, str] | None = None) -> str:
    """Run *command* in the folder of the quickstart and return its output on stdout and stderr."""
    result = subprocess.run(
        [sys.executable, *command],
        cwd=QUICKSTART,
        env={**os.environ, **(env or {})},
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=240,
    )
    return result.stdout


def test_the_system_checks_find_nothing(shop: Mapping[str, str]) -> None:
    assert run("manage.py", "check", "--fail-level", "DEBUG", env=shop) == (
        "System check identified no issues (0 silenced).\n"
    )


def test_the_migrations_match_the_models(shop: Mapping[str, str]) -> None:
    assert run("manage.py", "makemigrations", "--check", "--dry-run", env=shop) == "No changes detected\n"


def test_the_demonstration_shows_one_line_per_request(tmp_path: Path) -> None:
    """The script fails if the counts differ. This test also reads its output."""
    page = tmp_path / "report.html"
    shown = run("demo.py", str(page))

    sent, written = re.findall(r"^ *(\d+) request(?:s sent| lines written)", shown, re.MULTILINE)
    assert int(sent) == int(written) > 20
    assert "Request took" in shown
    assert "Paid 5170 cents" in shown
    # The tree of one checkout: its request, the task that it sent, and the task that this one sent.
    assert ": 1 request, 2 tasks\n" in shown
    assert re.search(r"└─ shop.tasks.send_receipt +ok", shown)
    assert re.search(r"   └─ shop.tasks.reserve_stock +ok", shown)
    assert f"\n{int(sent):,} requests  " in shown
    assert "catalogue/" in page.read_text()
    # What is wrong in the shop, as the last command names it.
    why = shown.partition("\n== Why the slow requests are slow")[2]
    assert re.search(r" 20    20  shop/views.py:\d+ in as_json  GET     products/", why)
    assert re.search(r"shop/views.py:\d+ in draw_invoice +GET +invoice/", why)
    assert re.search(r"shop/views.py:\d+ in suggest +GET +search/", why)
