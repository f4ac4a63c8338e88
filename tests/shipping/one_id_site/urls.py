from django.urls import include, path

from obs_middleware.decorators import exclude
from obs_middleware.metrics import metrics

urlpatterns = [path("metrics", exclude(metrics)), path("", include("shop.urls"))]
