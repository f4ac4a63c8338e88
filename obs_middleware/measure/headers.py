"""
Read single facts of a request or response: its target, sizes, host, query and so on.

Measure. A fact that is unknown is None. No reader reads the body of a request, or a stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from django.http import HttpResponse

from obs_middleware.redaction import REDACTED, Secrets

__all__ = ["OPTIONAL_FIELDS", "declared_bytes", "expose", "headers", "meta_key", "response_bytes", "target_of"]


def target_of(request: Any) -> tuple[str | None, str | None, Mapping[str, Any]]:
    """Return method, path and META of *request*, which may be any object."""
    try:
        method, path, meta = request.method, request.path, request.META
    except AttributeError:
        return None, None, {}
    # By exact type: a Mock has every attribute, but no strings.
    return (
        method if type(method) is str else None,
        path if type(path) is str else None,
        meta if type(meta) is dict else {},
    )


def meta_key(header: str) -> str:
    """Return the key of the request header *header* in ``request.META``."""
    key = header.upper().replace("-", "_")
    return key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"


def declared_bytes(length: object) -> int | None:
    """Return the size of the request's body in bytes, as its ``Content-Length`` declares it, or None if it does not."""
    # isascii() too, because "²".isdigit() is true. 18 digits are an exabyte; a longer number makes no sense.
    if isinstance(length, str) and length.isdigit() and length.isascii() and len(length) <= 18:
        return int(length)
    return None


def response_bytes(response: Any, method: str | None) -> int | None:
    """Return the size of a plain response's body in bytes: 0 for a HEAD request, None for a stream or anything else."""
    if type(response) is not HttpResponse and not isinstance(response, HttpResponse):
        return None
    return 0 if method == "HEAD" else len(response.content)


def expose(response: Any, name: str) -> None:
    """Let scripts of other origins read the response header *name*. Other names that are exposed stay so."""
    exposed = response.headers.get(EXPOSING, "")
    if name.lower() not in {one.strip().lower() for one in exposed.split(",")}:
        response.headers[EXPOSING] = f"{exposed}, {name}" if exposed.strip() else name


EXPOSING: Final = "Access-Control-Expose-Headers"


def headers(meta: Mapping[str, Any], names: Sequence[tuple[str, str]], secrets: Secrets) -> dict[str, str]:
    """
    Return those of the chosen headers that were sent. The value of a secret header is hidden.

    Args:
        meta: ``request.META``.
        names: Pairs of lower-case name and key in *meta*.
        secrets: The secret names.
    """
    found = {name: value for name, key in names if isinstance(value := meta.get(key), str)}
    return {name: REDACTED if secrets.hides_text(name, value) else value for name, value in found.items()}


def _user_agent(request: Any, _: Secrets) -> Any:
    return request.META.get("HTTP_USER_AGENT")


def _host(request: Any, _: Secrets) -> Any:
    # Not get_host(): it raises if the host is not allowed, as in many health checks.
    return request.META.get("HTTP_HOST")


def _scheme(request: Any, _: Secrets) -> Any:
    return request.scheme


def _http_version(request: Any, _: Secrets) -> Any:
    scope = getattr(request, "scope", None)
    if scope is not None:
        return scope.get("http_version")
    return request.META.get("SERVER_PROTOCOL", "").removeprefix("HTTP/")


def _query(request: Any, secrets: Secrets) -> Any:
    return secrets.hide_in_query(request.META.get("QUERY_STRING", ""))


def _referrer(request: Any, secrets: Secrets) -> Any:
    return secrets.hide_in_url(request.META.get("HTTP_REFERER", ""))


OPTIONAL_FIELDS: Final[Mapping[str, Callable[[Any, Secrets], Any]]] = {
    "user_agent": _user_agent,
    "host": _host,
    "scheme": _scheme,
    "http_version": _http_version,
    "query": _query,
    "referrer": _referrer,
}
"""The names allowed in ``OBS_MIDDLEWARE["FIELDS"]``, each with its reader. Empty values are left out."""
