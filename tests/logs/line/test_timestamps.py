"""`obs_middleware.logs.line.timestamps`: RFC 3339 in UTC, to the nearest microsecond."""

from __future__ import annotations

import json
import logging

import pytest

from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.line.timestamps import Timestamps


@pytest.mark.parametrize(
    ("created", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (0.9999994, "1970-01-01T00:00:00.999999Z"),
        (0.9999995, "1970-01-01T00:00:01.000000Z"),
        (0.99999951, "1970-01-01T00:00:01.000000Z"),
        (-0.25, "1970-01-01T00:00:00.000000Z"),
        (1_700_000_000.9999998, "2023-11-14T22:13:21.000000Z"),
        (float("nan"), "1970-01-01T00:00:00.000000Z"),
        (float("inf"), "1970-01-01T00:00:00.000000Z"),
        (1e300, "1970-01-01T00:00:00.000000Z"),
        (9_223_372_035.5, "2262-04-11T23:47:15.500000Z"),
        (9_223_372_036.5, "1970-01-01T00:00:00.000000Z"),
    ],
)
def test_a_timestamp_is_that_of_the_nearest_microsecond(created: float, text: str) -> None:
    timestamps = Timestamps()

    assert [timestamps.text(created) for _ in range(2)] == [text] * 2
    assert timestamps.text(1_700_000_000.25) == "2023-11-14T22:13:20.250000Z"
    assert timestamps.text(created) == text


def test_timestamps_are_in_order() -> None:
    timestamps = Timestamps()
    moments = [1_700_000_000 + number / 7_000_003 for number in range(14_000_000, 7_000_000, -997)]

    texts = [timestamps.text(moment) for moment in moments]

    assert texts == sorted(texts, reverse=True)


def test_a_timestamp_is_rfc_3339_with_six_digits_in_utc() -> None:
    record = logging.makeLogRecord({"msg": "x", "created": 1_700_000_000.000001})

    assert json.loads(JSONFormatter().format(record))["timestamp"] == "2023-11-14T22:13:20.000001Z"
