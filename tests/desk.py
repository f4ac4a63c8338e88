"""A small Django project as `startproject` makes it, in files, for tests that run its programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["MIDDLEWARE", "WITH_US", "environment", "make_project", "manage"]

MIDDLEWARE: Final = 'MIDDLEWARE = ["obs_middleware.middleware.TimingMiddleware"]\n'

WITH_US: Final = (
    "from obs_middleware import logging_config\n"
    'INSTALLED_APPS += ["obs_middleware"]\n' + MIDDLEWARE + "LOGGING = logging_config()\n"
)
"""The lines that a site adds to its settings."""

_SETTINGS: Final = """
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "not a secret"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.staticfiles", "desk"]
MIDDLEWARE = []
ROOT_URLCONF = "desk.urls"
WSGI_APPLICATION = "desk.wsgi.application"
ASGI_APPLICATION = "desk.asgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
STATIC_URL = "/static/"
"""

_FILES: Final = {
    "manage.py": """
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "desk.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
""",
    "desk/__init__.py": "",
    "desk/apps.py": """
import logging

from django.apps import AppConfig


class DeskConfig(AppConfig):
    name = "desk"

    def ready(self):
        logging.getLogger("desk").warning("the desk is ready")
        logging.getLogger("desk").info("and clean")
""",
    "desk/models.py": """
from django.db import models


class Pen(models.Model):
    colour = models.TextField()
""",
    "desk/migrations/__init__.py": "",
    "desk/migrations/0001_initial.py": """
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            "Pen", [("id", models.BigAutoField(primary_key=True)), ("colour", models.TextField())]
        ),
    ]
""",
    "desk/static/desk.css": "body { color: teal }\n",
    "desk/urls.py": """
import logging

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path


def home(request):
    return HttpResponse("home")


def fail(request):
    raise ValueError("no good")


def write(request):
    logging.getLogger("desk").info("writing")
    return HttpResponse("written")


urlpatterns = [
    path("", home),
    path("fail/", fail),
    path("stream/", lambda request: StreamingHttpResponse(iter([b"one", b"two"]))),
    path("write/", write),
]
""",
    "desk/wsgi.py": """
from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
""",
    "desk/asgi.py": """
from django.core.asgi import get_asgi_application

application = get_asgi_application()
""",
}


def make_project(folder: Path, *settings: str, files: Mapping[str, str] | None = None) -> Path:
    """
    Write the project into *folder* and return it.

    Args:
        folder: An existing or a new folder.
        settings: Texts that are added to the settings.
        files: Further files, or others in the place of those above: path -> text.
    """
    texts = {**_FILES, "desk/settings.py": _SETTINGS + "".join(settings), **(files or {})}
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"))
    return folder


def environment() -> dict[str, str]:
    """Return the environment of the programs, without what would lead them to another project or into colours."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONDEVMODE", "FORCE_COLOR"}}
    return {**kept, "DJANGO_SETTINGS_MODULE": "desk.settings", "DJANGO_COLORS": "nocolor"}


def manage(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``manage.py`` with *arguments* to its end."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
