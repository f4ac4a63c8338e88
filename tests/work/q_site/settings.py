"""A site with django-q2, whose queue is a table. `shop_queue` is the module from the documentation."""

import os

from obs_middleware import logging_config

SECRET_KEY = "of a test"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "obs_middleware",
    "django_q",
    "work.q_site.apps.SiteConfig",
]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["Q_DATABASE"], "OPTIONS": {"timeout": 20}}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
Q_CLUSTER = {"name": "shop", "orm": "default", "workers": 1, "timeout": 60, "retry": 120, "poll": 0.1}
LOGGING = logging_config(file=os.environ["Q_LOG"])
USE_TZ = True
