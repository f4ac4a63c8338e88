"""A view that enqueues the tasks that the client names."""

from django.http import HttpRequest, HttpResponse
from django.urls import path
from work.tasks_site.tasks import TASKS

from obs_middleware import bind


def enqueue(request: HttpRequest) -> HttpResponse:
    bind(shop="north")
    for name in request.GET.getlist("task"):
        TASKS[name].using(backend=request.GET["backend"]).enqueue()
    return HttpResponse()


urlpatterns = [path("", enqueue)]
