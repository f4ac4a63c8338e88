from __future__ import annotations

from django.urls import include, path, re_path

from testproject import views

shop = (
    [path("item/<int:number>/", views.item, name="item")],
    "shop",
)

urlpatterns = [
    path("", views.ok),
    path("ok/", views.ok, name="ok"),
    path("ok-async/", views.ok_async, name="ok-async"),
    path("shop/", include(shop)),
    re_path(r"^re/(?P<number>[0-9]{4})/$", views.item),
    path("redirect/", views.redirect),
    path("unavailable/", views.unavailable),
    path("fail/", views.fail),
    path("fail/<what>/", views.fail),
    path("fail-async/", views.fail_async),
    path("fail-async/<what>/", views.fail_async),
    path("nothing/", views.nothing),  # type: ignore[arg-type]  # the mistake under test
    path("talk/", views.talk),
    path("talk-async/", views.talk_async),
    path("spread/", views.spread),
    path("spread-sync/", views.spread_sync),
    path("stream/", views.stream),
    path("stream-async/", views.stream_async),
]
