"""The app that connects the queue."""

import importlib

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "work.q_site"

    def ready(self) -> None:
        importlib.import_module("shop_queue")
