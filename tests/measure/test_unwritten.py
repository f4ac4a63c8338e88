"""`obs_middleware.measure.unwritten`: a missing `LOGGING` is reported once, in development."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from desk import MIDDLEWARE, environment, make_project

SERVE = "from django.core.handlers.wsgi import WSGIHandler; WSGIHandler(); WSGIHandler()"
CHECK = "from django.core.management import call_command; call_command('check')"
WITH_THE_APP = 'INSTALLED_APPS += ["obs_middleware"]\n'
BY_HAND = "import logging\nlogging.basicConfig(level=logging.INFO)\n"


@pytest.mark.parametrize(
    ("settings", "code", "reports"),
    [
        ("", SERVE, ["LOGGING is missing"]),
        (WITH_THE_APP, SERVE, ["LOGGING is missing"]),
        (WITH_THE_APP, f"{CHECK}; {SERVE}", ["obs_middleware.W004"]),
        ("DEBUG = False\n", SERVE, []),
        ('OBS_MIDDLEWARE = {"ENABLED": False}\n', SERVE, []),
        ("from obs_middleware import logging_config\nLOGGING = logging_config()\n", SERVE, []),
        ("LOGGING = {'version': 1}\n", SERVE, []),
        ("LOGGING_CONFIG = None\n", SERVE, []),
        (BY_HAND, SERVE, []),
    ],
    ids=["missing", "app", "checked", "production", "disabled", "ours", "own", "none", "by hand"],
)
def test_a_missing_logging_is_reported_once_in_development(
    settings: str, code: str, reports: list[str], tmp_path: Path
) -> None:
    project = make_project(tmp_path, MIDDLEWARE, settings)

    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import django; django.setup(); {code}"],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    told = [line for line in result.stderr.splitlines() if "LOGGING is missing" in line or "obs_middleware.W" in line]
    assert len(told) == len(reports), result.stderr
    assert all(report in line for report, line in zip(reports, told, strict=True))
