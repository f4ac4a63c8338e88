import os

from shop.settings import *  # noqa: F403
from shop.settings import OBS_MIDDLEWARE as SHARED

from obs_middleware import logging_config

ALLOWED_HOSTS = os.environ["SHOP_HOSTS"].split(",")
LOGGING = logging_config(
    service="shop",
    version=os.environ["SHOP_VERSION"],  # on every line, so that `obs-middleware diff --at version` finds a release
    environment=os.environ["SHOP_ENVIRONMENT"],
    format="json",  # not "auto", which writes rows if the container has a terminal
    stream="stdout",  # also from manage.py
    nonblocking=True,  # if the log driver hangs, the site goes on
)
OBS_MIDDLEWARE = {
    **SHARED,
    "QUIET": [r"^/healthz$"],  # a line now and then for the probes, and one for every failure
    "TRUSTED_PROXIES": int(os.environ.get("SHOP_PROXIES", "0")),  # how many proxies there are before the container
}
