"""A site for real servers, with one view for each way in which a request can end."""

from obs_middleware import logging_config

SECRET_KEY = "of a test"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "servers.site.urls"
WSGI_APPLICATION = "servers.site.wsgi.application"
INSTALLED_APPS = ["obs_middleware"]
MIDDLEWARE = [
    "obs_middleware.middleware.TimingMiddleware",
    # It sets Content-Length. Without that, most WSGI servers close the connection after each response.
    "django.middleware.common.CommonMiddleware",
]
# A busy machine holds the event loops of its servers, and tests count all lines.
OBS_MIDDLEWARE: dict[str, object] = {"BLOCKED_SECONDS": 30}
LOGGING = logging_config()
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}  # required since Django 6.1
USE_TZ = True
