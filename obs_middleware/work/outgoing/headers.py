"""
Decide what an outgoing call tells the other service.

Work. Only the hosts of the setting ``OUTGOING`` get anything: an id or a trace is nobody else's business.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Container, Sequence
from typing import Any, Final

from obs_middleware.conf import Settings
from obs_middleware.failures import report_once
from obs_middleware.measure.event import Event
from obs_middleware.measure.ids import is_request_id
from obs_middleware.measure.running import RUNNING
from obs_middleware.measure.tracing import traceparent_of, tracestate_of

__all__ = ["HEADERS", "Headers", "Hosts"]


class Hosts:
    """
    An allow-list of hosts.

    Args:
        entries: Host names and IP addresses. With a dot in front, a name is a domain: itself and all names below it.
    """

    def __init__(self, entries: Collection[str]) -> None:
        names = [_normal(entry) for entry in entries]
        self._names = frozenset(name.removeprefix(".") for name in names)
        self._domains = tuple(name for name in names if name.startswith("."))

    def __contains__(self, host: str) -> bool:
        name = _normal(host)
        return name in self._names or name.endswith(self._domains)


def _normal(host: str) -> str:
    return host.lower().strip("[]").removesuffix(".")


class Headers:
    """The headers of outgoing calls, by the settings."""

    def __init__(self) -> None:
        self.configure(Settings())

    def configure(self, settings: Settings) -> None:
        """Take over *settings*."""
        self._hosts = Hosts(settings.outgoing or ())
        self._id_header = settings.request_id_header

    def to(self, host: str | None, event: Event, sent: Container[str]) -> Sequence[tuple[str, str]]:
        """
        Return the headers to add to a call of *event*, as pairs of name and value. Never raises.

        Args:
            host: The host that gets the call.
            event: The event of the request that makes it.
            sent: The lower-case names of the headers that the caller sends. They win.
        """
        try:
            if not host or host not in self._hosts:
                return ()
            found = []
            if self._id_header.lower() not in sent and is_request_id(event.request_id):
                found.append((self._id_header, event.request_id))
            if "traceparent" not in sent and (traceparent := traceparent_of(event)) is not None:
                found.append(("traceparent", traceparent))
                # The standard wants both passed on. It belongs to our traceparent, and to no other.
                if "tracestate" not in sent and (tracestate := tracestate_of(_request_of(event))) is not None:
                    found.append(("tracestate", tracestate))
            return found
        except BaseException as error:  # noqa: BLE001 -- the call goes out without them
            report_once("OUTGOING", error)
            return ()


def _request_of(event: Event) -> Any:
    """Return the request of *event*, or None if it has none or is over."""
    request = RUNNING.get(event)
    return request() if isinstance(request, weakref.ref) else request


HEADERS: Final = Headers()
"""What all clients of this process send."""
