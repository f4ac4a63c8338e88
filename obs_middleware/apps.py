"""The Django app. It is optional, and adds the system checks and the database figures."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

from obs_middleware.checks import (
    check_bridges,
    check_formatters,
    check_logging,
    check_metrics,
    check_middleware,
    check_proxies,
    check_settings,
    check_user,
)
from obs_middleware.measure import database
from obs_middleware.work import units

__all__ = ["ObsMiddlewareConfig"]


class ObsMiddlewareConfig(AppConfig):
    """Register the system checks, and measure queries and work that is not a request."""

    name = "obs_middleware"
    verbose_name = "Request observability"

    def ready(self) -> None:
        """Register the checks, and start to measure."""
        database.install()
        units.prepare()
        for check in (
            check_settings,
            check_metrics,
            check_middleware,
            check_user,
            check_proxies,
            check_logging,
            check_formatters,
            check_bridges,
        ):
            checks.register(check)
