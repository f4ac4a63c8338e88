"""
The ordinary request, of which the cost of a line is a small share.

It goes through the seven middleware of Django's project template, runs one query and shows its twenty rows in a page
with a base template.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.apps import apps
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

__all__ = ["NAME", "SETTINGS", "prepare"]

NAME: Final = "ordinary request"
"""The name of its driver."""

ROWS: Final = 20
BASE: Final = """<!doctype html>
<title>{% block title %}{% endblock %}</title>
<nav>{% if user.is_authenticated %}{{ user }}{% else %}Nobody{% endif %}</nav>
{% for message in messages %}<p>{{ message }}</p>{% endfor %}
{% block content %}{% endblock %}
"""
PAGE: Final = """{% extends "base.html" %}
{% block title %}Members of club {{ pk }}{% endblock %}
{% block content %}
<ul>
{% for member in members %}
  <li class="{% cycle 'odd' 'even' %}">
    <a href="{% url 'item' member.pk %}">{{ member.get_full_name|default:member.username }}</a>
    since {{ member.date_joined|date }}{% if member.is_staff %}, staff{% endif %}
  </li>
{% endfor %}
</ul>
{% endblock %}
"""
_IN_MEMORY: Final = ("django.template.loaders.locmem.Loader", {"base.html": BASE, "members.html": PAGE})

SETTINGS: Final[Mapping[str, Any]] = {
    "ROOT_URLCONF": __name__,
    "MIDDLEWARE": [
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    "INSTALLED_APPS": [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
    ],
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [("django.template.loaders.cached.Loader", [_IN_MEMORY])],
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ],
            },
        }
    ],
}
"""The settings of its site, in addition to those of a row."""


def _model() -> Any:
    """Return the model of the rows. Its module can be imported only when the site is configured."""
    return apps.get_model("auth", "User")


def view(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the rows of one query."""
    return render(request, "members.html", {"members": _model().objects.order_by("pk")[:ROWS], "pk": pk})


urlpatterns = [path("items/<int:pk>/", view, name="item")]


def prepare() -> None:
    """Create the table in the database in memory, with its rows."""
    model = _model()
    with connection.schema_editor() as editor:
        for table in ("contenttypes.ContentType", "auth.Permission", "auth.Group", "auth.User"):
            editor.create_model(apps.get_model(table))
    model.objects.bulk_create(model(username=f"member{number}", is_staff=number % 5 == 0) for number in range(ROWS))
