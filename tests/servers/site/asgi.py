"""The site for ASGI servers: with the middleware alone, and with `observed`."""

from __future__ import annotations

import asyncio
from typing import Any

from django.core.asgi import get_asgi_application

from obs_middleware.asgi import observed

chain = get_asgi_application()
outside = observed(chain)


def with_lifespan(application: Any) -> Any:
    """Return *application* with a lifespan, which Django lacks and other frameworks would add."""

    async def application_with_lifespan(
        scope: Any, receive: Any, send: Any
    ) -> None:  # pragma: no cover -- uvicorn ends with a signal before coverage is saved
        if scope["type"] != "lifespan":
            await application(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        # Closing a pool of connections takes about as long, and the event loop runs meanwhile.
        await asyncio.sleep(0.2)
        await send({"type": "lifespan.shutdown.complete"})

    return application_with_lifespan


chain_with_lifespan = with_lifespan(chain)
outside_with_lifespan = with_lifespan(outside)
