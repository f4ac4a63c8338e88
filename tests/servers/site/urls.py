"""A URL for each ending, sync and async. The views explain them."""

from django.urls import path
from servers.site import views

urlpatterns = [
    path("sync/ok/", views.ok),
    path("sync/fail/", views.fail),
    path("sync/stream/", views.stream),
    path("sync/wait/", views.wait),
    path("sync/linger/", views.linger),
    path("sync/upload/", views.upload),
    path("sync/bind/", views.bound),
    path("async/ok/", views.async_ok),
    path("async/fail/", views.async_fail),
    path("async/stream/", views.async_stream),
    path("async/wait/", views.async_wait),
    path("async/upload/", views.async_upload),
    path("async/bind/", views.async_bound),
    path("async/block/", views.async_block),
]
