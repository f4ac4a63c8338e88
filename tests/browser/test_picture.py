"""`make picture` takes a picture of the reasons in a report."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

TAKE = """
import sys
from pathlib import Path
from report_picture import taken
sys.stdout.buffer.write(taken(*map(Path, sys.argv[1:])))
"""


@pytest.mark.skipif(shutil.which("chromedriver") is None, reason="needs chromium and chromedriver")
def test_the_picture_shows_one_section_of_the_page(page: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", TAKE, page, tmp_path],
        cwd=ROOT / "examples" / "quickstart",
        check=True,
        capture_output=True,
        timeout=120,
    )

    assert result.stdout.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", result.stdout[16:24])
    assert width == 1000
    assert 200 < height < 2000  # the whole page has more
