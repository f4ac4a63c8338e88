"""A site whose log is read, or not read, by a test; its URLs are in here too."""

from __future__ import annotations

import os

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from obs_middleware import logging_config, stats

SECRET_KEY = "of a test"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "sink.settings"
INSTALLED_APPS = ["obs_middleware"]
MIDDLEWARE = ["obs_middleware.middleware.TimingMiddleware", "django.middleware.common.CommonMiddleware"]
LOGGING = logging_config(nonblocking=True)
LOGGING["handlers"]["obs"]["capacity"] = int(os.environ.get("SINK_CAPACITY", "10000"))
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}  # asked for since Django 6.1
USE_TZ = True


def ok(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def show_stats(request: HttpRequest) -> HttpResponse:  # pragma: no cover -- asked for by OBS_SINK=full alone
    return JsonResponse(stats())


urlpatterns = [path("", ok), path("stats/", show_stats)]
