"""
The setting ``OBS_MIDDLEWARE``.

`conf.settings` lists every key with its type, default and check: add a key there. `conf.values` describes the values
that keys accept. `conf.current` reads the setting, finds mistakes in it, and tells objects when it changes.
"""

from obs_middleware.conf.current import (
    EXPECTED,
    SETTING,
    Configurable,
    Problem,
    django_setting,
    find_problems,
    get_settings,
    keep_configured,
    near_names,
    raw_settings,
)
from obs_middleware.conf.settings import Settings
from obs_middleware.conf.values import Expected, accepts, resolve

__all__ = [
    "EXPECTED",
    "SETTING",
    "Configurable",
    "Expected",
    "Problem",
    "Settings",
    "accepts",
    "django_setting",
    "find_problems",
    "get_settings",
    "keep_configured",
    "near_names",
    "raw_settings",
    "resolve",
]
