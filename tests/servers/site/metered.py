"""The site with ``METRICS``: settings and URLs. Import it as ``DJANGO_SETTINGS_MODULE``."""

import os

from django.urls import include, path
from servers.site.settings import *  # noqa: F403 -- Django's way to extend settings

from obs_middleware.decorators import exclude
from obs_middleware.metrics import metrics

ROOT_URLCONF = "servers.site.metered"
OBS_MIDDLEWARE = {**OBS_MIDDLEWARE, "METRICS": os.environ.get("SITE_METRICS") or True}  # noqa: F405 -- from there

urlpatterns = [path("metrics", exclude(metrics)), path("", include("servers.site.urls"))]
