"""`obs_middleware.metrics`: what Prometheus reads is what was counted, in both of its formats."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Get, Site
from django.conf import settings as django_settings
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import path
from histogrammed import OPENMETRICS, REQUESTS, TASKS, counted, counting, exemplars, parsed, scraped, shown
from hypothesis import given, settings
from hypothesis import strategies as st

from obs_middleware import metrics as module
from obs_middleware.measure import histograms
from obs_middleware.measure.event import Event
from obs_middleware.measure.histogram_files import Exemplar
from obs_middleware.measure.histograms import histograms_in
from obs_middleware.metrics import metrics
from obs_middleware.testing import CapturedRequests


@pytest.fixture(name="folder", autouse=True)
def _folder(tmp_path: Path) -> Iterator[Path]:
    with counting(tmp_path):
        yield tmp_path


def ok(request: Any) -> HttpResponse:
    return HttpResponse("ok")


def count(*values: str | int | None, seconds: float = 0.02, folder: Path, times: int = 1) -> None:
    for number in range(times):
        event = Event(0.0, f"r-{number}")
        event.message = ""
        histograms_in(os.fspath(folder)).requests.count(values, seconds, event)


def test_a_request_is_one_in_each_bucket_that_it_fits_into(folder: Path) -> None:
    for seconds in (0.0, 0.005, 0.0051, 10.0, 10.1):
        count("GET", "http", "shop/", 200, None, seconds=seconds, folder=folder)

    family = scraped()[REQUESTS]
    buckets = {sample.labels["le"]: sample.value for sample in family.samples if sample.name.endswith("_bucket")}
    others = {sample.name: sample.value for sample in family.samples if not sample.name.endswith("_bucket")}
    assert family.type == "histogram"
    assert len(buckets) == 15
    assert (buckets["0.005"], buckets["0.01"], buckets["7.5"], buckets["10.0"], buckets["+Inf"]) == (2, 3, 3, 4, 5)
    assert others == {f"{REQUESTS}_count": 5, f"{REQUESTS}_sum": pytest.approx(20.1101)}


def test_both_formats_say_the_same(folder: Path) -> None:
    count("GET", "https", "shop/<int:n>/", 500, "ValueError", folder=folder, times=3)

    text, openmetrics = scraped(), scraped(OPENMETRICS)

    assert {name: family.samples for name, family in text.items()} == {
        name: [sample._replace(exemplar=None) for sample in family.samples] for name, family in openmetrics.items()
    }
    assert openmetrics[REQUESTS].unit == "seconds"
    assert text[TASKS].samples == []


# The formats


_values = st.one_of(
    st.none(), st.integers(100, 599), st.text(max_size=300), st.text(alphabet='\\"\n\r{}=,#\0\u2028é ', max_size=20)
)


@settings(max_examples=50)
@given(values=st.lists(st.tuples(_values, _values), min_size=1, max_size=5))
def test_hostile_values_do_not_break_the_format(values: list[tuple[Any, Any]]) -> None:
    folder = django_settings.OBS_MIDDLEWARE["METRICS"]
    histograms_in(os.fspath(folder)).forget()
    for file in folder.iterdir():
        file.unlink()
    for route, status in values:
        count("GET", "http", route, status, None, folder=folder)

    openmetrics = shown(OPENMETRICS)
    assert openmetrics.endswith("# EOF\n")
    assert sum(counted().values()) == len(values)
    assert parsed(openmetrics).keys() == {REQUESTS, TASKS}


@pytest.mark.parametrize(
    ("route", "label"),
    [
        ('say "hi"\\', 'say "hi"\\'),
        ("two\nlines\0", "two\N{REPLACEMENT CHARACTER}lines\N{REPLACEMENT CHARACTER}"),
        ("\ud800", "\N{REPLACEMENT CHARACTER}"),
        ("a" * 300, "a" * 255 + "…"),
        ("^re/(?P<n>[0-9]{4})/$", "^re/(?P<n>[0-9]{4})/$"),
    ],
    ids=["quotes", "control characters", "half a character", "long", "regular expression"],
)
def test_a_label_is_the_route_as_far_as_the_format_can_hold_it(route: str, label: str, folder: Path) -> None:
    count("GET", "http", route, 200, None, folder=folder)

    ((labels, number),) = counted().items()

    assert dict(labels)["http_route"] == label
    assert number == 1


def test_a_route_that_differs_only_behind_the_cut_is_counted_with_the_other(folder: Path) -> None:
    for end in "abab":
        count("GET", "http", "x" * 300 + end, 200, None, folder=folder)

    assert list(counted().values()) == [4]


def test_there_are_no_more_histograms_than_the_limit_and_the_rest_is_counted_in_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histograms, "MOST", 100)
    for number in range(150):
        count("GET", "http", f"route-{number}/", 200, None, folder=folder)
        count("GET", "http", "route-0/", 200, None, folder=folder)

    found = counted()

    assert len(found) == 99  # the overflow of the tasks is empty, and not shown
    assert sum(found.values()) == 300
    assert found[("otel_metric_overflow", "true"),] == 52


def test_a_value_without_room_is_counted_with_the_overflow(folder: Path) -> None:
    count(*["\N{GRINNING FACE}" * 250] * 5, folder=folder)

    assert counted() == {(("otel_metric_overflow", "true"),): 1}


# Exemplars


def test_an_exemplar_has_the_ids_of_a_request(get: Get, lines: CapturedRequests) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    get("/ok/", headers={"X-Request-ID": "r-1", "traceparent": traceparent})

    (exemplar,) = exemplars()

    assert exemplar.labels == {"request_id": "r-1", "trace_id": "0af7651916cd43dd8448eb211c80319c"}
    assert exemplar.value == pytest.approx(lines[0]["duration_seconds"], abs=1e-5)
    assert " # {" not in shown()


def test_a_request_without_a_line_is_no_exemplar(get: Get, folder: Path) -> None:
    own = folder / "own"
    own.mkdir()
    with counting(own, EXCLUDE=["ok"]):
        get("/ok/")

        assert exemplars() == []
        assert sum(counted().values()) == 1


def test_a_bucket_keeps_its_exemplar_for_a_second(folder: Path) -> None:
    histogram = histograms_in(os.fspath(folder)).requests
    for number, started in enumerate((5.0, 5.5, 6.1, 6.2)):
        event = Event(started, f"r-{number}")
        event.message = ""
        histogram.count(("GET", "http", "", 200, None), 0.02, event)
        assert [one.labels["request_id"] for one in exemplars()] == [f"r-{2 if number >= 2 else 0}"]


def test_the_newest_exemplar_of_all_processes_is_shown() -> None:
    old, new = Exemplar(0.1, 1.0, "old", ""), Exemplar(0.1, 2.0, "new", "")

    assert module._newest(old, new) == module._newest(new, old) == module._newest(None, new) == new
    assert module._newest(None, None) is None


# The view


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        (
            "text/plain;q=0.2, application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ],
    ids=["nothing", "anything", "text", "Prometheus 2", "Prometheus 3"],
)
def test_the_client_chooses_the_format(accept: str, expected: str, site: Site) -> None:
    response = site.get(metrics, headers={"Accept": accept})

    assert response.headers["Content-Type"] == expected


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 200), ("POST", 405), ("DELETE", 405)])
def test_only_reading_is_allowed(method: str, status: int) -> None:
    class urls:  # noqa: N801 -- used as a module
        urlpatterns = [path("metrics", metrics)]  # noqa: RUF012 -- Django's form

    with override_settings(ROOT_URLCONF=urls):
        assert Client().generic(method, "/metrics").status_code == status


def test_without_the_setting_the_view_says_so(site: Site) -> None:
    with override_settings(OBS_MIDDLEWARE={}):
        response = site.get(metrics)

    assert (response.status_code, response.content) == (404, b'The setting OBS_MIDDLEWARE["METRICS"] is False.\n')


def test_a_directory_that_is_missing_makes_the_scrape_fail(folder: Path, site: Site) -> None:
    with counting(folder / "none"):
        response = site.get(metrics)

    assert response.status_code == 503
    assert re.fullmatch(
        rb'The directory of .+"METRICS".+ cannot be read: No such file or directory\.\n', response.content
    )
