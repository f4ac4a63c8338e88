"""A site whose tasks end in every way. `OBS_TEST_PLAIN` leaves this package out, for comparison."""

from __future__ import annotations

import os
from pathlib import Path

from obs_middleware import logging_config

FOLDER = Path(os.environ["OBS_TEST_FOLDER"])
BROKER = os.environ["OBS_TEST_BROKER"]
IS_PLAIN = "OBS_TEST_PLAIN" in os.environ

SECRET_KEY = "of the tests"
ROOT_URLCONF = "work.celery.site.client"
ALLOWED_HOSTS = ["testserver"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(FOLDER / "db.sqlite3")}}
INSTALLED_APPS = [] if IS_PLAIN else ["obs_middleware"]
MIDDLEWARE = [] if IS_PLAIN else ["obs_middleware.middleware.TimingMiddleware"]
if not IS_PLAIN:
    LOGGING = logging_config(file=str(FOLDER / "log"), nonblocking="OBS_TEST_NONBLOCKING" in os.environ)

CELERY_BROKER_URL = BROKER
CELERY_RESULT_BACKEND = BROKER
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 10
CELERY_BEAT_SCHEDULE = {"every second": {"task": "work.celery.site.tasks.ok", "schedule": 1.0}}
