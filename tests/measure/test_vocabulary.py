"""`obs_middleware.measure.vocabulary`: the names of the package, and those of applications."""

from __future__ import annotations

import pytest

from obs_middleware.measure.event import Event
from obs_middleware.measure.vocabulary import FIELDS, own_name


@pytest.mark.parametrize("name", [*FIELDS, "event", "exc_info"])
def test_a_name_of_the_package_gets_a_prefix(name: str) -> None:
    assert own_name(name) == f"app_{name}"


@pytest.mark.parametrize("name", ["cart", "Status", "app_status", ""])
def test_any_other_name_is_unchanged(name: str) -> None:
    assert own_name(name) == name


def test_every_field_of_the_event_is_documented() -> None:
    event = Event(0.0, "id", "GET", "/")
    event.queries = []

    assert set(event.line()) <= set(FIELDS)
