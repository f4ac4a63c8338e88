"""A site whose tasks are rows of a database, done by a worker process."""

import os

import django

from obs_middleware import logging_config

SECRET_KEY = "of a test"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "work.tasks_site.urls"
MIDDLEWARE = ["obs_middleware.middleware.TimingMiddleware"]
INSTALLED_APPS = ["obs_middleware", "django_tasks_db"]
if django.VERSION < (6,):
    INSTALLED_APPS.append("django_tasks")
if os.environ.get("TASKS_PLAIN"):
    MIDDLEWARE = []
    INSTALLED_APPS.remove("obs_middleware")
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["TASKS_DATABASE"]}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TASKS = {
    "default": {"BACKEND": "django_tasks_db.DatabaseBackend"},
    "immediate": {
        "BACKEND": "django.tasks.backends.immediate.ImmediateBackend"
        if django.VERSION >= (6,)
        else "django_tasks.backends.immediate.ImmediateBackend"
    },
}
LOGGING = logging_config(file=os.environ["TASKS_LOG"])
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}  # required since Django 6.1
USE_TZ = True
