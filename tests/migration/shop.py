"""A small site, configured by a step of a guide, and what it answers and logs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from migration.guide import Step
from migration.visit import MARK

__all__ = ["Run", "Visit", "run"]

_FILES: Final = {
    "settings.py": """
SECRET_KEY = "of a test"
ALLOWED_HOSTS = ["shop.test"]
ROOT_URLCONF = "shop.urls"
TIME_ZONE = "UTC"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "shop.customers.known"]
""",
    "customers.py": """
from django.contrib.auth.models import User
from django.utils.decorators import sync_and_async_middleware
from asgiref.sync import iscoroutinefunction


@sync_and_async_middleware
def known(get_response):
    # Every customer is the same one, without a database.
    def middleware(request):
        request.user = User(pk=7, username="ada")
        return get_response(request)

    async def async_middleware(request):
        request.user = User(pk=7, username="ada")
        return await get_response(request)

    return async_middleware if iscoroutinefunction(get_response) else middleware
""",
    "urls.py": """
from django.urls import path

from shop import views


def report(request):
    return 1 / 0


urlpatterns = [path("pay/", views.pay), path("report/", report)]
""",
    "views.py": """
import logging

from django.http import HttpResponse

logger = logging.getLogger("shop.checkout")


def pay(request):
    logger.info("Paid 1250 cents")
    return HttpResponse("paid")
""",
    "wsgi.py": """
from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
""",
    "asgi.py": """
from django.core.asgi import get_asgi_application

application = get_asgi_application()
""",
}
"""The site before a guide: the settings, to which a guide adds its own, and the other files, which it may replace."""

_LAST: Final = """
# A busy machine blocks the event loop, and the warning of it would be one line more.
OBS_MIDDLEWARE = {"BLOCKED_SECONDS": None} | globals().get("OBS_MIDDLEWARE", {})
"""
"""The end of the settings."""

_LEFT_OUT: Final = {"DJANGO_SETTINGS_MODULE", "PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONWARNINGS"}
"""Variables of the tests that the site does not get: with three of them Python writes lines of its own."""

_PROGRAM: Final = Path(__file__).with_name("visit.py")


class Visit(NamedTuple):
    """
    A request and its answer.

    Attributes:
        interface: ``wsgi`` or ``asgi``.
        path: The path that was asked for.
        status: The status of the answer.
        headers: The headers of the answer, in lower case.
        body: The content of the answer.
        file: The lines that the site had added to its file ``requests.log``.
        log: The other lines that the site wrote from the request until the next one.
    """

    interface: str
    path: str
    status: int
    headers: dict[str, str]
    body: str
    file: list[str]
    log: list[str]


class Run(NamedTuple):
    """
    All visits of one site.

    Attributes:
        visits: The visits in their order.
        modules: The names of the modules that the site had imported.
    """

    visits: list[Visit]
    modules: set[str]


def run(
    step: Step,
    folder: Path,
    interfaces: Sequence[str],
    requests: list[tuple[str, dict[str, str]]],
    environment: Mapping[str, str],
) -> Run:
    """Write the site of *step* into *folder*, and send *requests* to it, in a process with *environment*."""
    package = folder / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    settings = _FILES["settings.py"] + step.files.get("settings.py", "") + _LAST
    for name, text in {**_FILES, **step.files, "settings.py": settings}.items():
        (package / name).write_text(text)
    result = subprocess.run(
        [sys.executable, _PROGRAM, ",".join(interfaces), json.dumps(requests)],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in _LEFT_OUT} | dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return _parsed(result.stdout.replace(str(folder), "."))


def _parsed(output: str) -> Run:
    _, *parts = re.split(rf"^{MARK}", output, flags=re.MULTILINE)
    *pairs, last = parts
    visits = []
    for asked, answered in zip(pairs[::2], pairs[1::2], strict=True):
        head, *before = asked.splitlines()
        tail, *after = answered.splitlines()
        visits.append(Visit(**json.loads(head), **json.loads(tail), log=[*before, *after]))
    return Run(visits, set(json.loads(last.splitlines()[0])["modules"]))
