"""
Conversions of values that several schemas use, or that share their parts.

Write. A conversion takes the value of a field and the whole event. It returns None to leave the place out. It may raise
on a value that makes no sense: the field is then written under the name ``app_<name>``.
"""

from __future__ import annotations

import ipaddress
from types import MappingProxyType
from typing import Any, Final

from obs_middleware.logs.schemas.translation import Event
from obs_middleware.measure.remembered import Remembered

__all__ = [
    "OfText",
    "address",
    "coarse",
    "domain",
    "error_type",
    "full_url",
    "latency",
    "nanoseconds",
    "no_address",
    "of_other_work",
    "of_request",
    "port",
    "url",
]

_MOST_SECONDS: Final = 2**63 / 1_000_000_000
"""292 years: the nanoseconds of a longer duration do not fit into 64 bits."""


class OfText(Remembered[Any]):
    """
    A conversion that depends on nothing but the text, whose results are remembered. Decorates the function.

    ``conversion[text]`` costs no call for a text that is known.
    """

    def __call__(self, text: str, _: Event = MappingProxyType({})) -> Any:
        """Return the value for *text*."""
        return self[text]


def nanoseconds(seconds: float, _: Event) -> int:
    """Return a duration in nanoseconds, as an integer."""
    if 0 <= seconds < _MOST_SECONDS:
        return round(seconds * 1_000_000_000)
    raise _implausible(seconds)


def latency(seconds: float, event: Event) -> str | None:
    """Return the duration of a request as text in seconds, ``0.123456s``; None for other work."""
    if "kind" in event:
        return None
    if 0 <= seconds < _MOST_SECONDS:
        return f"{seconds:.6f}s"
    raise _implausible(seconds)


def of_request(value: Any, event: Event) -> Any:
    """Return *value* on the line of a request, otherwise None: a name of HTTP would be wrong there."""
    return None if "kind" in event else value


def of_other_work(value: Any, event: Event) -> Any:
    """Return *value* on the line of a task, a command or a websocket, otherwise None."""
    return value if "kind" in event else None


def _implausible(seconds: float) -> ValueError:
    return ValueError(f"duration_seconds is {seconds}: expected between 0 and {_MOST_SECONDS:.0f}")


_COARSE: Final = {
    "ok": "success",
    **dict.fromkeys(("error", "stream_error", "timeout", "killed", "unknown"), "failure"),
}


@OfText
def coarse(outcome: str) -> str:
    """Return ``success``, ``failure`` or ``unknown`` for an outcome."""
    return _COARSE.get(outcome, "unknown")


def error_type(outcome: str, event: Event) -> str | None:
    """Return the exception or the status of work that failed; None for work that did not."""
    if _COARSE.get(outcome) != "failure":
        return None
    return str(event.get("error_type") or event.get("status") or "_OTHER")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


_ADDRESSES: Final = Remembered(_is_address)


@OfText
def address(text: str) -> str | None:
    """Return *text* if it is an IP address, otherwise None."""
    return text if _ADDRESSES[text] else None


@OfText
def no_address(text: str) -> str | None:
    """Return *text* if it is not an IP address, otherwise None."""
    return None if _ADDRESSES[text] else text


def _host_and_port(host: str) -> tuple[str, int | None]:
    name, colon, digits = host.rpartition(":")
    if colon and digits.isdigit() and digits.isascii() and len(digits) <= 5 and (":" not in name or name[:1] == "["):
        return name, int(digits)
    return host, None


_HOSTS: Final = Remembered(_host_and_port)


@OfText
def domain(host: str) -> str:
    """Return the host without its port."""
    return _HOSTS[host][0]


@OfText
def port(host: str) -> int | None:
    """Return the port of the host; None if it has none."""
    return _HOSTS[host][1]


def url(_: Any, event: Event) -> str:
    """Return the known parts of the URL; scheme and host only if both are known."""
    path, query, host, scheme = event.get("path"), event.get("query"), event.get("host"), event.get("scheme")
    known = path if type(path) is str else ""
    if type(query) is str and query:
        known = f"{known}?{query}"
    return f"{scheme}://{host}{known}" if type(host) is str is type(scheme) and host and scheme else known


def full_url(_: Any, event: Event) -> str | None:
    """Return the URL if its scheme and host are known, otherwise None."""
    return url(_, event) if "host" in event and "scheme" in event else None
