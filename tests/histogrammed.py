"""For tests of ``METRICS``: a directory for one test, and what its histograms say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.test import RequestFactory, override_settings
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from obs_middleware.measure import histograms
from obs_middleware.metrics import metrics

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
REQUESTS = "http_server_request_duration_seconds"
TASKS = "task_duration_seconds"

__all__ = ["OPENMETRICS", "REQUESTS", "TASKS", "counted", "counting", "exemplars", "parsed", "scraped", "shown"]


@contextmanager
def counting(folder: Path | bool, **settings: Any) -> Iterator[None]:
    """Count in *folder* in the block, with these further keys of ``OBS_MIDDLEWARE``, and let go of it at the end."""
    with override_settings(OBS_MIDDLEWARE={"METRICS": folder, **settings}):
        yield
    key = folder if isinstance(folder, bool) else str(folder)
    histograms._kept.pop(key).forget()


def shown(accept: str = "") -> str:
    """Return the answer to a scrape."""
    response = metrics(RequestFactory().get("/metrics", headers={"Accept": accept}))
    assert response.status_code == 200, response.content
    return response.content.decode()


def parsed(text: str) -> dict[str, Metric]:
    """Return the families in the answer to a scrape by name, read by Prometheus' own client."""
    parse = parse_openmetrics if text.endswith("# EOF\n") else parse_text
    return {family.name: family for family in parse(text)}


def scraped(accept: str = "") -> dict[str, Metric]:
    """Return the families of a scrape by name."""
    return parsed(shown(accept))


def counted(name: str = REQUESTS) -> Counter[tuple[tuple[str, str], ...]]:
    """Return how many units of work each histogram of a family has, by its labels."""
    return Counter(
        {
            tuple(sample.labels.items()): int(sample.value)
            for sample in scraped()[name].samples
            if sample.name == f"{name}_count"
        }
    )


def exemplars(name: str = REQUESTS) -> list[Any]:
    """Return the exemplars of a family."""
    return [sample.exemplar for sample in scraped(OPENMETRICS)[name].samples if sample.exemplar is not None]
