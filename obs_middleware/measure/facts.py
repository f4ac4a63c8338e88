"""
What a request and its response tell, collected when the chain is through with them.

Measure. The settings select the facts once. A pure reader in `measure.client`, `measure.user` or `measure.headers`
reads each fact, if the line of the request is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.http import HttpResponse

from obs_middleware.conf import Settings, resolve
from obs_middleware.failures import report_once
from obs_middleware.measure.client import client_address, networks, normal_address
from obs_middleware.measure.event import RequestEvent
from obs_middleware.measure.headers import OPTIONAL_FIELDS, declared_bytes, headers, meta_key, response_bytes
from obs_middleware.measure.user import user_id
from obs_middleware.measure.vocabulary import own_name
from obs_middleware.redaction import Secrets

__all__ = ["FactReader"]

_NOTHING: Final[Mapping[str, Any]] = {}


class FactReader:
    """
    The facts that *settings* ask for.

    Args:
        settings: The settings in force.
    """

    def __init__(self, settings: Settings) -> None:
        self._reads_user = settings.user
        trusted = settings.trusted_proxies
        self._trusted = trusted if isinstance(trusted, int) else networks(trusted)
        self._reads_more = bool(settings.fields or settings.headers)
        self._secrets = Secrets(settings.redact)
        self._optional = [(name, OPTIONAL_FIELDS[name]) for name in settings.fields]
        self._headers = [(name.lower(), meta_key(name)) for name in settings.headers]
        self._enrich: Callable[..., Any] | None = None if settings.enrich is None else resolve(settings.enrich)

    def read(self, event: RequestEvent, request: Any, response: Any) -> None:  # noqa: C901, PLR0912 -- one fact after the other
        """
        Put the facts on *event*.

        Args:
            event: The event of the request.
            request: The request; any object, which then tells little.
            response: What the chain answered, if it did.
        """
        try:
            meta = request.META
            known = request.__dict__
            match = request.resolver_match
            route = match.route
            view = match.view_name
        except AttributeError:  # nothing matched, or no request of Django
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
        if self._trusted or type(peer) is not str:
            address = client_address(meta, self._trusted)
        else:
            address = normal_address(peer)
        # By exact type: a Mock has every attribute, and none of them is text.
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
        if self._reads_user and ("user" in known or "session" in known or "_acached_user" in known):
            user = user_id(request)
            if user is not None:
                fields["user_id"] = user
        if self._reads_more and meta is not _NOTHING:
            self._read_more(fields, request)
        if event.line_fields is None:
            event.line_fields = fields
        else:
            event.line_fields.update(fields)
        if self._enrich is not None:
            _add_enrichment(self._enrich, event, request, response)

    def _read_more(self, fields: dict[str, Any], request: Any) -> None:
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


def _add_enrichment(enrich: Callable[..., Any], event: RequestEvent, request: Any, response: Any) -> None:
    try:
        for name, value in dict(enrich(request, response) or {}).items():
            event.say().annotations[own_name(str(name))] = value
    except BaseException as error:  # noqa: BLE001 -- it is the user's, and may raise anything
        report_once('OBS_MIDDLEWARE["ENRICH"]', error)
