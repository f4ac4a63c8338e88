"""The quickstart with an error tracker, OpenTelemetry and metrics, for `test_one_id.py`."""

import os

import sentry_sdk
from shop.settings import *  # noqa: F403 -- Django's way to extend settings
from shop.settings import LOGGING

sentry_sdk.init(dsn=os.environ["SITE_SENTRY"])

LOGGING["handlers"]["otlp"] = {
    "class": "obs_middleware.logs.otlp.OTLPHandler",
    "service": "shop",
    "endpoint": os.environ["SITE_OTLP"],
    "filters": ["fold_django_requests"],
}
LOGGING["root"]["handlers"].append("otlp")

OBS_MIDDLEWARE = {"METRICS": True, "BLOCKED_SECONDS": None}

ROOT_URLCONF = "shipping.one_id_site.urls"
