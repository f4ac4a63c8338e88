"""The seed contract: it holds in a process without Django's settings, and after a bare ``settings.configure()``."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CALL = '''
import asyncio
import logging
from typing import Any
from unittest.mock import DEFAULT, Mock, call, patch

from django.conf import settings

from obs_middleware.middleware import TimingMiddleware


def serve(request: Any, response: Any, *, error: ValueError | None = None) -> None:
    """The clock is read twice, logging is called once with the text, and the response comes back."""
    is_failure = error is not None or getattr(response, "status_code", None) == 500

    async def get_response(received: Any) -> Any:
        assert received is request
        if error is not None:
            raise error
        return response

    async def visit() -> Any:
        return await TimingMiddleware(get_response)(request)

    with patch("time.perf_counter", side_effect=[10.0, 10.12345]) as clock, patch.multiple(
        "logging", info=DEFAULT, error=DEFAULT
    ) as logs:
        try:
            assert asyncio.run(visit()) is response
        except ValueError as raised:
            assert raised is error
    assert clock.call_count == 2
    exc_info = {} if error is None else {"exc_info": error}
    expected = call("Request took 0.1235 seconds", **exc_info)
    assert logs["error" if is_failure else "info"].call_args_list == [expected]
    assert logs["info" if is_failure else "error"].call_args_list == []


class Slotted:
    __slots__ = ()
'''

WITHOUT_SETTINGS = """
for given in (Mock(), object(), None, Slotted()):
    for answered in (Mock(), object(), None, "text"):
        serve(given, answered)
serve(Mock(), None, error=ValueError("no good"))
assert not settings.configured
"""

BARE_SETTINGS = """
settings.configure()

from django.apps import apps
from django.http import HttpRequest, HttpResponse

serve(HttpRequest(), HttpResponse())
serve(HttpRequest(), HttpResponse(status=500))
serve(HttpRequest(), None, error=ValueError("no good"))
assert not apps.ready
"""

AS_IT_IS = """
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")


async def get_response(request: Any) -> Any:
    return request


async def visit() -> Any:
    return await TimingMiddleware(get_response)(object())


asyncio.run(visit())
assert not settings.configured
"""


def run(code: str) -> str:
    """Run *code* in a process without Django's settings, and return its stderr."""
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", CALL + code],
        env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stderr


@pytest.mark.parametrize("code", [WITHOUT_SETTINGS, BARE_SETTINGS], ids=["no settings", "bare settings"])
def test_any_request_and_response_is_served(code: str) -> None:
    assert run(code) == ""


def test_the_line_is_written_without_settings() -> None:
    line = run(AS_IT_IS).removesuffix("\n")

    assert line.startswith("INFO root Request took 0.")
    assert line.endswith(" seconds")
    assert "\n" not in line
