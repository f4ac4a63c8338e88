"""
Record durations with the metrics API of OpenTelemetry, if the site has set a meter provider.

Measure, a leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

__all__ = ["Recorder", "recorder"]

Recorder = Callable[[float, Mapping[str, str | int]], None]
"""Records a duration in seconds with its attributes."""


def recorder(name: str, description: str, bounds: Sequence[float]) -> Recorder | None:
    """
    Return a function that records in a histogram of OpenTelemetry; None if the site has set no meter provider.

    The API has no histogram that is read only when asked, so each duration is recorded at once, at the price of the
    provider. Call this late: a provider that is set afterwards is not noticed.
    """
    try:
        from opentelemetry.metrics import get_meter_provider  # noqa: PLC0415 -- needed only with METRICS
    except ImportError:
        return None
    provider = get_meter_provider()
    if type(provider).__module__.startswith("opentelemetry.metrics"):
        return None  # a stand-in of the API, which records nothing
    histogram = provider.get_meter("obs_middleware").create_histogram(
        name, unit="s", description=description, explicit_bucket_boundaries_advisory=bounds
    )
    return histogram.record
