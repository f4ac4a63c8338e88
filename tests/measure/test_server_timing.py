"""`obs_middleware.measure.server_timing`: the header ``Server-Timing``."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Site, respond
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from obs_middleware import timed
from obs_middleware.testing import CapturedRequests


def work(request: HttpRequest) -> HttpResponse:
    with timed("stripe"):
        pass
    response = HttpResponse()
    if "own" in request.GET:
        response["Server-Timing"] = "cache;desc=hit"
    return response


@pytest.mark.parametrize(
    ("setting", "debug", "written"),
    [(False, True, False), (True, False, True), ("debug", False, False), ("debug", True, True)],
)
def test_server_timing_is_sent_if_configured(site: Site, setting: Any, debug: bool, written: bool) -> None:
    response = site.get(work, OBS_MIDDLEWARE={"SERVER_TIMING": setting}, DEBUG=debug)

    assert ("Server-Timing" in response) is written


def test_server_timing_has_total_database_and_blocks_after_the_applications_own(site: Site) -> None:
    response = site.get(work, "/?own=1", OBS_MIDDLEWARE={"SERVER_TIMING": True})

    parts = response["Server-Timing"].split(", ")
    assert [part.split(";")[0] for part in parts] == ["cache", "total", "db", "stripe"]
    assert 'desc="0 queries"' in parts[2]
    assert all(float(part.split("dur=")[1].split(";")[0]) >= 0 for part in parts[1:])


def test_the_name_of_a_block_cannot_break_the_header(lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        with timed('a b;"\r\nX: 1'):
            pass
        return HttpResponse()

    with override_settings(OBS_MIDDLEWARE={"SERVER_TIMING": True}):
        response = respond(view, RequestFactory().get("/"))

    assert "a_b____X__1;dur=" in response["Server-Timing"]
