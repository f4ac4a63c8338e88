"""The Django app. It is optional, and adds the system checks and the database figures."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

from obs_middleware.checks import (
    check_bridges,
    check_formatters,
    check_logging,
    check_middleware,
    check_proxies,
    check_settings,
)
from obs_middleware.measure import database

__all__ = ["ObsMiddlewareConfig"]


class ObsMiddlewareConfig(AppConfig):
    """Register the system checks, and measure the queries of every connection that is opened from now on."""

    name = "obs_middleware"
    verbose_name = "Request observability"

    def ready(self) -> None:
        """Register the checks, and start to measure queries."""
        database.install()
        for check in (
            check_settings,
            check_middleware,
            check_proxies,
            check_logging,
            check_formatters,
            check_bridges,
        ):
            checks.register(check)
