"""Channels' consumers below `observed`: a client says in its first message how the connection goes on."""

from __future__ import annotations

import logging
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

from obs_middleware import bind, get_request_id
from obs_middleware.asgi import observed

logger = logging.getLogger("chat")


class SyncChat(WebsocketConsumer):  # type: ignore[misc]  # no types
    """Works in a thread."""

    def connect(self) -> None:
        bind(room="sync")
        if b"refuse" in self.scope["query_string"]:
            self.close()
        else:
            self.accept()

    def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
        logger.info("received %s", text_data)
        if text_data == "fail":
            raise ValueError("no")
        if text_data == "close":
            self.close(4001)
        else:
            self.send(get_request_id())


class AsyncChat(AsyncWebsocketConsumer):  # type: ignore[misc]  # no types
    """Works in the event loop."""

    async def connect(self) -> None:
        bind(room="async")
        if b"refuse" in self.scope["query_string"]:
            await self.close()
        else:
            await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
        logger.info("received %s", text_data)
        if text_data == "fail":
            raise ValueError("no")
        if text_data == "close":
            await self.close(4001)
        else:
            await self.send(get_request_id())


http = get_asgi_application()
urls = [path("sync/", SyncChat.as_asgi()), path("async/", AsyncChat.as_asgi())]
application = observed(ProtocolTypeRouter({"http": http, "websocket": URLRouter(urls)}))
