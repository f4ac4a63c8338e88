from django.urls import include, path
from django.views.generic import RedirectView

from shop import views

shop = [
    path("", views.home, name="home"),
    path("products/", views.product_list, name="products"),
    path("products/<slug:slug>/", views.product_detail, name="product"),
    path("search/", views.search, name="search"),
    path("checkout/", views.checkout, name="checkout"),
    path("invoice/", views.invoice, name="invoice"),
    path("export.csv", views.export, name="export"),
    path("report/", views.report, name="report"),
]

urlpatterns = [
    path("", include((shop, "shop"))),
    path("catalogue/", RedirectView.as_view(pattern_name="shop:products", permanent=True), name="old-catalogue"),
    path("healthz", views.healthz, name="healthz"),
]
