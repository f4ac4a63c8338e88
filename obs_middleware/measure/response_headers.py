"""
Add the response headers that a site has chosen: ``traceresponse``, ``Server-Timing``, and who may read them.

Measure. The header of the request id is not one of them: the middleware writes it on every response.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.http.response import HttpResponseBase

from obs_middleware.conf import Settings, django_setting
from obs_middleware.measure.event import Event
from obs_middleware.measure.headers import EXPOSING, expose
from obs_middleware.measure.server_timing import add_server_timing
from obs_middleware.measure.trace_response import TRACE_RESPONSE, add_trace_response, traceresponse_of

__all__ = ["Headers", "chosen_headers", "missing_headers"]

Headers = Sequence[tuple[bytes, bytes]]
"""Names and values, as ASGI has them."""

_Add = Callable[[Event, HttpResponseBase, float], None]


def chosen_headers(settings: Settings) -> _Add | None:
    """
    Return a function that adds the headers to a response, or None if the site has chosen none.

    Its arguments are the event, the response, and the duration in seconds.
    """
    adders: list[_Add] = []
    exposed = [settings.request_id_header] if settings.response_header else []
    if settings.trace_response:
        adders.append(add_trace_response)
        exposed.append(TRACE_RESPONSE)
    if settings.expose_header:
        adders.append(lambda _, response, __: _expose_those_sent(response, exposed))
    timing = settings.server_timing
    if bool(django_setting("DEBUG", default=False)) if timing == "debug" else timing:
        adders.append(add_server_timing)

    def add(event: Event, response: HttpResponseBase, seconds: float) -> None:
        for one in adders:
            one(event, response, seconds)

    return add if adders else None


def _expose_those_sent(response: HttpResponseBase, names: Sequence[str]) -> None:
    for name in names:
        if name in response.headers:
            expose(response, name)


def missing_headers(settings: Settings) -> Callable[[Event, Headers], Headers]:
    """
    Return a function that returns those headers of this package that an ASGI response lacks.

    A response has them if it passed the middleware. It has not if the query string is bad, or an outer layer failed.
    Its arguments are the event, and the headers that are sent.
    """
    id_header = settings.request_id_header.lower().encode() if settings.response_header else None
    trace_header = TRACE_RESPONSE.encode() if settings.trace_response else None
    exposing = EXPOSING.lower().encode() if settings.expose_header else None

    def missing(event: Event, headers: Headers) -> Headers:
        ours = []
        if id_header is not None:
            ours.append((id_header, event.request_id.encode()))
        if trace_header is not None and (value := traceresponse_of(event)) is not None:
            ours.append((trace_header, value.encode()))
        found = [(name, value) for name, value in ours if all(sent.lower() != name for sent, _ in headers)]
        return found if exposing is None else [*found, *((exposing, name) for name, _ in found)]

    return missing
