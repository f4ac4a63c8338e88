import os
from pathlib import Path

import structlog

from obs_middleware import logging_config, structlog_config

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = "a demonstration keeps no secrets"
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

INSTALLED_APPS = [
    "obs_middleware",
    "shop",
]

# An API without cookies needs no sessions and no CSRF tokens.
MIDDLEWARE = [
    "obs_middleware.middleware.TimingMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]

SEARCH = os.environ.get("SHOP_SEARCH")  # the URL of a service; without it the shop searches alone

OBS_MIDDLEWARE = {
    "OUTGOING": ["127.0.0.1"],  # calls of the search service are measured
    "SLOW_SECONDS": 0.25,
}
LOGGING = logging_config(
    service="shop",
    version="1.0",
    environment="demo",
    # logging_config() raises if the environment has an unknown name.
    format=os.environ.get("SHOP_LOG_FORMAT", "auto"),  # type: ignore[arg-type]
    schema=os.environ.get("SHOP_LOG_SCHEMA", "flat"),  # type: ignore[arg-type]
    file=os.environ.get("SHOP_LOG_FILE"),
)
structlog.configure(**structlog_config())

ROOT_URLCONF = "shop.urls"
ASGI_APPLICATION = "shop.asgi.application"
WSGI_APPLICATION = "shop.wsgi.application"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", BASE_DIR / "db.sqlite3"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# With a folder as the queue, a worker does the tasks. Without it they are done at once, inside the request.
QUEUE = os.environ.get("SHOP_QUEUE")
CELERY_TASK_ALWAYS_EAGER = QUEUE is None
CELERY_BROKER_URL = "filesystem://localhost"  # without a host there is a warning
CELERY_BROKER_TRANSPORT_OPTIONS = {"data_folder_in": QUEUE, "data_folder_out": QUEUE, "control_folder": QUEUE}

USE_TZ = True
