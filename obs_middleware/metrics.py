"""
The view that shows requests and tasks to Prometheus as histograms.

In ``urls.py``: ``path("metrics", obs_middleware.metrics.metrics)``. The setting ``METRICS`` turns the counting on.
Everybody who can open the view sees the routes of the site, so decide who may.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.measure.histogram_files import PLACES, Exemplar, Key, Reading
from obs_middleware.measure.histograms import FAMILIES, Family, Histograms, histograms_in

__all__ = ["metrics"]

_OPENMETRICS: Final = "application/openmetrics-text"
_TEXT: Final = "text/plain"
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class _Source:
    """The histograms that the settings select, or None."""

    def __init__(self) -> None:
        self.histograms: Histograms | None = None
        keep_configured(self)

    def configure(self, settings: Settings) -> None:
        self.histograms = None if settings.metrics is False else histograms_in(settings.metrics)


@functools.cache
def _source() -> _Source:
    """Return the only source, made at the first scrape: this module may be imported before the settings are there."""
    return _Source()


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """
    Return the histograms of all processes, in Prometheus' text format, or in OpenMetrics if the client accepts that.

    Only OpenMetrics has exemplars: for each bucket the ids of one recent request or task that has a line. The answer is
    404 without the setting ``METRICS``, and 503 if its directory cannot be read, so that ``up`` is 0 in Prometheus.

    The cost is a read of each process's file, 4 KiB for each histogram, and no query.
    """
    histograms = _source().histograms
    if histograms is None:
        return _refused(404, 'The setting OBS_MIDDLEWARE["METRICS"] is False.')
    try:
        merged = _merged(histograms.read())
    except OSError as error:
        return _refused(503, f'The directory of OBS_MIDDLEWARE["METRICS"] cannot be read: {error.strerror or error}.')
    accepted = (one.partition(";")[0].strip().lower() for one in request.headers.get("Accept", "").split(","))
    if _OPENMETRICS in accepted:
        text = "".join(_lines(merged, is_openmetrics=True))
        return HttpResponse(text, content_type=f"{_OPENMETRICS}; version=1.0.0; charset=utf-8")
    text = "".join(_lines(merged, is_openmetrics=False))
    return HttpResponse(text, content_type=f"{_TEXT}; version=0.0.4; charset=utf-8")


def _refused(status: int, reason: str) -> HttpResponse:
    return HttpResponse(f"{reason}\n", status=status, content_type=f"{_TEXT}; charset=utf-8")


def _merged(readings: Iterable[Reading]) -> dict[Key, Reading]:
    """Add up the histograms of all processes. The newest exemplar of each bucket remains."""
    merged: dict[Key, Reading] = {}
    for reading in readings:
        before = merged.get(reading.key)
        if before is None:
            merged[reading.key] = reading
            continue
        merged[reading.key] = Reading(
            reading.key,
            [one + other for one, other in zip(before.counts, reading.counts, strict=True)],
            before.seconds + reading.seconds,
            [_newest(*pair) for pair in zip(before.exemplars, reading.exemplars, strict=True)],
        )
    return merged


def _newest(one: Exemplar | None, other: Exemplar | None) -> Exemplar | None:
    return max((exemplar for exemplar in (one, other) if exemplar is not None), key=_time, default=None)


def _time(exemplar: Exemplar) -> float:
    return exemplar.time


def _lines(merged: Mapping[Key, Reading], *, is_openmetrics: bool) -> Iterator[str]:
    for family in FAMILIES.values():
        name = f"{_name(family.name)}_seconds"
        yield f"# HELP {name} {family.help}\n# TYPE {name} histogram\n"
        if is_openmetrics:
            yield f"# UNIT {name} seconds\n"
        # A process may have been killed when it had just made a histogram.
        of_family = (one for key, one in merged.items() if key[0] == family.name and any(one.counts))
        for reading in sorted(of_family, key=lambda one: str(one.key)):
            yield from _histogram(name, family, reading, is_openmetrics=is_openmetrics)
    if is_openmetrics:
        yield "# EOF\n"


def _histogram(name: str, family: Family, reading: Reading, *, is_openmetrics: bool) -> Iterator[str]:
    labels = _labels((_name(one), value) for one, value in family.described(reading.key).items())
    count = 0
    for place in range(PLACES):
        count += reading.counts[place]
        bound = repr(family.bounds[place]) if place < len(family.bounds) else "+Inf"
        exemplar = reading.exemplars[place] if is_openmetrics else None
        yield f'{name}_bucket{{{labels},le="{bound}"}} {count}{_shown(exemplar)}\n'
    yield f"{name}_count{{{labels}}} {count}\n{name}_sum{{{labels}}} {reading.seconds!r}\n"


def _shown(exemplar: Exemplar | None) -> str:
    if exemplar is None:
        return ""
    ids = {"request_id": exemplar.request_id, "trace_id": exemplar.trace_id}
    labels = _labels((name, value) for name, value in ids.items() if value)
    return f" # {{{labels}}} {exemplar.seconds!r} {exemplar.time:.3f}"


def _labels(pairs: Iterable[tuple[str, Any]]) -> str:
    return ",".join(f'{name}="{str(value).translate(_ESCAPES)}"' for name, value in pairs)


def _name(name: str) -> str:
    """Return an OpenTelemetry name as Prometheus has it."""
    return name.replace(".", "_")
