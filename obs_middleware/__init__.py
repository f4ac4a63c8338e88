"""
One true line per request for Django: measured, written once, as text and as JSON.

The names that a project types first. Importing them reads no settings, so a settings module may do it.
"""

from obs_middleware.counters import stats
from obs_middleware.logs.config import logging_config, structlog_config
from obs_middleware.measure.context import annotate, bind, get_request_id, timed
from obs_middleware.measure.running import in_flight

__all__ = [
    "annotate",
    "bind",
    "get_request_id",
    "in_flight",
    "logging_config",
    "stats",
    "structlog_config",
    "timed",
]
