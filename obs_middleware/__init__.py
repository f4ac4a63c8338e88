"""
One structured log line per Django request, exactly once, however it ends.

These are the names that a project needs most. Importing them reads no settings, so a settings module may import them.
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
