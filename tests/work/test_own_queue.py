"""The queue that the documentation adds: django-q2, with a real cluster."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from paths import DOCS, ROOT

pytestmark = pytest.mark.work


def test_the_example_of_the_documentation_gives_one_line_for_each_task(tmp_path: Path) -> None:
    example = re.search(r"^```python\n(.*?)^```", (DOCS / "how-to" / "queues.md").read_text(), re.DOTALL | re.MULTILINE)
    assert example is not None
    (tmp_path / "shop_queue.py").write_text(example[1])
    log = tmp_path / "app.json"
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "work.q_site.settings",
        "PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), str(tmp_path))),
        "Q_DATABASE": str(tmp_path / "db.sqlite3"),
        "Q_LOG": str(log),
    }
    for arguments in (("-m", "django", "migrate", "-v", "0"), ("-m", "work.q_site")):
        subprocess.run([sys.executable, *arguments], env=env, check=True, timeout=60)

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in log.read_text().splitlines() if '"kind":"task"' in line]

    with subprocess.Popen([sys.executable, "-m", "django", "qcluster"], env=env) as cluster:
        deadline = time.monotonic() + 60
        while len(lines()) < 2 and cluster.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)  # the pause between two looks
        cluster.terminate()

    found = {line["task"].rpartition(".")[2]: line for line in lines()}
    assert {name: line["outcome"] for name, line in found.items()} == {"good": "ok", "bad": "error"}
    assert {(line["request_id"], line["shop"], line["queue"]) for line in found.values()} == {("r-1", "north", "shop")}
    assert found["good"]["rows"] == 3
    assert len(lines()) == 2
