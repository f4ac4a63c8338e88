"""
Send requests to the site in the current directory, under WSGI and ASGI, and print the answers among its log lines.

Run as a script: ``python visit.py wsgi,asgi '[["/pay/", {"X-Request-ID": "..."}]]'``. Each line that begins with the
ASCII record separator is an object of this script; all others are the log of the site. The new lines of the site's file
``requests.log`` come with each answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx

MARK = "\x1e"
FILE = Path("requests.log")
seen = {"lines": 0}


def say(**fields: Any) -> None:
    print(f"{MARK}{json.dumps(fields)}", flush=True)


def answered(response: httpx.Response) -> None:
    say(status=response.status_code, headers=dict(response.headers), body=response.text, file=new_lines())


def new_lines() -> list[str]:
    """Return the lines that the site has added to its file since the last call."""
    if not FILE.exists():
        return []
    lines = FILE.read_text().splitlines()
    read = lines[seen["lines"] :]
    seen["lines"] = len(lines)
    return read


def visit_wsgi(requests: list[tuple[str, dict[str, str]]]) -> None:
    transport = httpx.WSGITransport(import_module("shop.wsgi").application, raise_app_exceptions=False)
    with httpx.Client(transport=transport, base_url="http://shop.test") as client:
        for path, headers in requests:
            say(interface="wsgi", path=path)
            answered(client.get(path, headers=headers))


async def visit_asgi(requests: list[tuple[str, dict[str, str]]]) -> None:
    transport = httpx.ASGITransport(import_module("shop.asgi").application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        for path, headers in requests:
            say(interface="asgi", path=path)
            # A task of its own, as in a server, so that no context variable is left from the request before.
            answered(await asyncio.create_task(client.get(path, headers=headers)))


def main(interfaces: list[str], requests: list[tuple[str, dict[str, str]]]) -> None:
    sys.path[0] = str(Path.cwd())
    os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
    for interface in interfaces:
        import_module(f"shop.{interface}")
    from django.core.management import call_command  # noqa: PLC0415 -- the site has now configured Django

    logging.getLogger("httpx").setLevel(logging.WARNING)  # its lines are not the site's
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    call_command("check", fail_level="WARNING")
    if "wsgi" in interfaces:
        visit_wsgi(requests)
    if "asgi" in interfaces:
        asyncio.run(visit_asgi(requests))
    say(modules=sorted(sys.modules))


if __name__ == "__main__":
    main(sys.argv[1].split(","), json.loads(sys.argv[2]))
