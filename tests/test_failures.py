"""`obs_middleware.failures`: each cause is reported once, and the number of causes is limited."""

from __future__ import annotations

import pytest

from obs_middleware import failures
from obs_middleware.failures import report_once
from obs_middleware.testing import CapturedRequests


@pytest.fixture(autouse=True)
def _nothing_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_reported", set())


def reported(lines: CapturedRequests) -> int:
    return sum("further failures of this kind" in line["message"] for line in lines.logs)


def test_a_cause_is_its_place_and_the_class_of_its_exception(lines: CapturedRequests) -> None:
    report_once("here", ValueError("first"))
    report_once("here", ValueError("second"))
    report_once("here", KeyError("other class"))
    report_once("there", ValueError("other place"))

    assert reported(lines) == 3


def test_exactly_1000_causes_are_reported(lines: CapturedRequests) -> None:
    for number in range(999):
        failures._reported.add((f"place {number}", "ValueError"))

    report_once("the thousandth", ValueError())
    report_once("one too many", ValueError())

    assert reported(lines) == 1
    assert len(failures._reported) == 1_000
