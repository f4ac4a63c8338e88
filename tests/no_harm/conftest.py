"""The world of each test, and the settings that the suite needs in any project."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from django.test import override_settings
from no_harm import props, settings, subject
from no_harm.world import World


@pytest.fixture(autouse=True)
def _site_of_the_suite() -> Iterator[None]:
    wanted = {name: getattr(settings, name) for name in ("TEMPLATES", *subject.FURTHER_SETTINGS)}
    wanted.pop("LOGGING", None)
    if set(settings.INSTALLED_APPS) != set(django_settings.INSTALLED_APPS):
        wanted["INSTALLED_APPS"] = settings.INSTALLED_APPS
    with override_settings(**wanted):
        subject.setup()
        props.hooks.clear()
        yield
        props.hooks.clear()
        props.seen.clear()


@pytest.fixture(name="mode", params=["sync", "async"])
def _mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="world")
def _world(mode: str) -> World:
    return World(mode)
