"""
Collect the facts of a request and its response, when the chain is done with them.

Measure. The settings select the facts once. Pure functions in `measure.client`, `measure.user` and `measure.headers`
read them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.http import HttpResponse

from obs_middleware.conf import Settings, resolve
from obs_middleware.failures import report_once
from obs_middleware.measure.client import client_address, networks, normal_address
from obs_middleware.measure.event import Event
from obs_middleware.measure.headers import OPTIONAL_FIELDS, declared_bytes, headers, meta_key, response_bytes
from obs_middleware.measure.user import user_reader
from obs_middleware.measure.vocabulary import own_name
from obs_middleware.measure.waiting import seconds_waited
from obs_middleware.redaction import Secrets

__all__ = ["FactReader"]

_NOTHING: Final[Mapping[str, Any]] = {}


class FactReader:
    """
    Read the facts that *settings* ask for.

    Args:
        settings: The current settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._user = user_reader(settings.user)
        self._reads_address = settings.client_ip
        trusted = settings.trusted_proxies
        self._trusted = trusted if isinstance(trusted, int) else networks(trusted)
        self._queue_key = None if settings.queue_header is None else meta_key(settings.queue_header)
        self._reads_more = bool(settings.fields or settings.headers or settings.queue_header)
        self._secrets = Secrets(settings.redact)
        self._optional = [(name, OPTIONAL_FIELDS[name]) for name in settings.fields]
        self._headers = [(name.lower(), meta_key(name)) for name in settings.headers]
        self._enrich: Callable[..., Any] | None = None if settings.enrich is None else resolve(settings.enrich)

    def read(self, event: Event, request: Any, response: Any) -> None:  # noqa: C901, PLR0912 -- one fact after the other
        """
        Add the facts to *event*.

        Args:
            event: The event of the request.
            request: The request. It may be any object, which then gives few facts.
            response: The response of the chain, or None.
        """
        try:
            meta = request.META
            known = request.__dict__
            match = request.resolver_match
            route = match.route
            view = match.view_name
        except AttributeError:  # no view matched, or not a request of Django
            meta = getattr(request, "META", None)
            known = getattr(request, "__dict__", _NOTHING)
            route = view = None
        if type(meta) is not dict:
            meta = known = _NOTHING
        if type(response) is HttpResponse and event.method != "HEAD":
            size: int | None = len(response.content)
        else:
            size = response_bytes(response, event.method)
        peer = meta.get("REMOTE_ADDR")
        if not self._reads_address:
            address = None
        elif self._trusted or type(peer) is not str:
            address = client_address(meta, self._trusted)
        else:
            address = normal_address(peer)
        # By exact type: a Mock has every attribute, but no strings.
        event.route = route if type(route) is str else None
        fields: dict[str, Any] = {}
        if type(view) is str and view:
            fields["view"] = view
        if size is not None:
            fields["response_bytes"] = size
        if address is not None:
            fields["client_ip"] = address
        length = meta.get("CONTENT_LENGTH")
        if length and (size := declared_bytes(length)) is not None:
            fields["request_bytes"] = size
        if self._user is not None and ("user" in known or "session" in known or "_acached_user" in known):
            user = self._user(request)
            if user is not None:
                fields["user_id"] = user
        if self._reads_more and meta is not _NOTHING:
            self._read_more(fields, request, event.started)
        if event.line_fields is None:
            event.line_fields = fields
        else:
            event.line_fields.update(fields)
        if self._enrich is not None:
            _add_enrichment(self._enrich, event, request, response)

    def _read_more(self, fields: dict[str, Any], request: Any, started: float) -> None:
        if self._queue_key is not None:
            waited = seconds_waited(request.META.get(self._queue_key), started)
            if waited is not None:
                fields["queue_seconds"] = waited
        for name, reader in self._optional:
            try:
                value = reader(request, self._secrets)
            except Exception as error:  # noqa: BLE001 -- a property of a foreign request class may raise anything
                report_once(f'the field "{name}"', error)
                continue
            if isinstance(value, str) and value:
                fields[name] = value
        if self._headers:
            found = headers(request.META, self._headers, self._secrets)
            if found:
                fields["headers"] = found


def _add_enrichment(enrich: Callable[..., Any], event: Event, request: Any, response: Any) -> None:
    try:
        for name, value in dict(enrich(request, response) or {}).items():
            event.say().annotations[own_name(str(name))] = value
    except BaseException as error:  # noqa: BLE001 -- the application's function may raise anything
        report_once('OBS_MIDDLEWARE["ENRICH"]', error)
