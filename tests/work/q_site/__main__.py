"""Enqueue both functions in a request with the id ``r-1``."""

import os

import django
from django.http import HttpRequest, HttpResponse

os.environ["DJANGO_SETTINGS_MODULE"] = "work.q_site.settings"
django.setup()

from django_q.tasks import async_task  # noqa: E402 -- needs the apps

from obs_middleware import bind  # noqa: E402 -- as above
from obs_middleware.middleware import TimingMiddleware  # noqa: E402 -- as above


def view(request: HttpRequest) -> HttpResponse:
    bind(shop="north")
    async_task("work.q_site.jobs.good")
    async_task("work.q_site.jobs.bad")
    return HttpResponse()


request = HttpRequest()
request.META["HTTP_X_REQUEST_ID"] = "r-1"
TimingMiddleware(view)(request)
