"""
What a request and its response tell, collected when the chain is through with them.

Measure. Which facts are wanted is resolved from the settings once; each is read by a pure reader of
`obs_middleware.request`. The only thing that is written is the response's headers, as the settings say. What decides
about the line is read of every request, the rest only of one whose line is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase

from obs_middleware import request as read
from obs_middleware.conf import Settings, django_setting, resolve
from obs_middleware.correlation import meta_key
from obs_middleware.event import RequestEvent, own_name
from obs_middleware.failures import report_once
from obs_middleware.policy import RULE_ATTRIBUTE, Rule
from obs_middleware.redaction import Secrets

__all__ = ["Facts"]


class Facts:
    """
    The facts that *settings* ask for.

    Args:
        settings: The settings in force.
    """

    def __init__(self, settings: Settings) -> None:
        self._id_header = settings.request_id_header if settings.response_header else None
        self._id_header_key = settings.request_id_header.lower()
        self._reads_user = settings.user
        trusted = settings.trusted_proxies
        self._trusted = trusted if isinstance(trusted, int) else read.networks(trusted)
        self._reads_more = bool(settings.fields or settings.headers)
        self._secrets = Secrets(settings.redact)
        self._optional = [(name, read.OPTIONAL_FIELDS[name]) for name in settings.fields]
        self._headers = [(name.lower(), meta_key(name)) for name in settings.headers]
        self._enrich: Callable[..., Any] | None = None if settings.enrich is None else resolve(settings.enrich)
        timing = settings.server_timing
        self._writes_timing = bool(django_setting("DEBUG", default=False)) if timing == "debug" else timing

    def answer(self, event: RequestEvent, request: Any, response: Any, seconds: float) -> None:
        """
        Put on *event* what decides about its line, and on *response* the headers that the settings ask for.

        Args:
            event: The event of the request.
            request: The request; any object, which then tells little.
            response: What the chain answered, if it did.
            seconds: How long that took.
        """
        if type(response) is HttpResponse or isinstance(response, HttpResponseBase):
            event.status = response.status_code
            if self._id_header is not None:
                # Past the checks of a header's name and value, which cost ten times as much and find nothing: both are
                # ASCII tokens, the one by the settings' check, the other by is_request_id.
                response.headers._store[self._id_header_key] = (self._id_header, event.request_id)  # noqa: SLF001 -- held by a canary test
            if self._writes_timing:
                _add_server_timing(event, response, seconds)
        try:
            view = request.resolver_match.func
        except AttributeError:
            return  # nothing matched, or no request of Django
        rule = getattr(view, RULE_ATTRIBUTE, None)
        # By exact type: a Mock has every attribute.
        if type(rule) is Rule:
            event.rule = rule

    def read(self, event: RequestEvent, request: Any, response: Any) -> None:  # noqa: C901, PLR0912 -- one fact after the other
        """
        Put all other facts on *event*.

        Args:
            event: The event of the request.
            request: The request; any object, which then tells little.
            response: What the chain answered, if it did.
        """
        said = event.facts  # by the policy
        facts = event.facts = {
            **event.context,
            "route": None,
            "status": event.status,
            "outcome": event.outcome,
            "duration_seconds": event.duration_seconds,
        }
        if said:
            facts.update(said)
        meta = None
        try:
            meta, known = request.META, request.__dict__
            match = request.resolver_match
            route, view = match.route, match.view_name
        except AttributeError:
            pass  # nothing matched, or no request of Django
        else:
            # By exact type: a Mock has every attribute, and none of them is text.
            if type(route) is str:
                facts["route"] = route
            if type(view) is str and view:
                facts["view"] = view
        if type(response) is HttpResponse and event.method != "HEAD":
            facts["response_bytes"] = len(response.content)
        elif (size := read.response_bytes(response, event.method)) is not None:
            facts["response_bytes"] = size
        if type(meta) is dict:
            length = meta.get("CONTENT_LENGTH")
            if length and (size := read.declared_bytes(length)) is not None:
                facts["request_bytes"] = size
            peer: Any = meta.get("REMOTE_ADDR")
            if not self._trusted and type(peer) is str:
                address = read.normal_address(peer)
            else:
                address = read.client_address(meta, self._trusted)
            if address is not None:
                facts["client_ip"] = address
            if self._reads_user and ("user" in known or "session" in known or "_acached_user" in known):
                user = read.user_id(request)
                if user is not None:
                    facts["user_id"] = user
            if self._reads_more:
                self._read_more(facts, request)
        if self._enrich is not None:
            _add_enrichment(self._enrich, event, request, response)

    def _read_more(self, facts: dict[str, Any], request: Any) -> None:
        for name, reader in self._optional:
            try:
                value = reader(request, self._secrets)
            except Exception as error:  # noqa: BLE001 -- a property of a foreign request class may raise anything
                report_once(f'the field "{name}"', error)
                continue
            if isinstance(value, str) and value:
                facts[name] = value
        if self._headers:
            found = read.headers(request.META, self._headers, self._secrets)
            if found:
                facts["headers"] = found


def _add_enrichment(enrich: Callable[..., Any], event: RequestEvent, request: Any, response: Any) -> None:
    try:
        for name, value in dict(enrich(request, response) or {}).items():
            event.annotations[own_name(str(name))] = value
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 -- it is the user's, and may raise anything
        report_once('OBS_MIDDLEWARE["ENRICH"]', error)


def _add_server_timing(event: RequestEvent, response: HttpResponseBase, seconds: float) -> None:
    """Write total, database and timed blocks in milliseconds, behind what the application wrote itself."""
    metrics = [f"total;dur={seconds * 1000:.1f}"]
    if event.queries is not None:
        metrics.append(f'db;dur={sum(event.queries) * 1000:.1f};desc="{len(event.queries)} queries"')
    for name, durations in event.timings.copy().items():
        # A token by RFC 9110, section 5.6.2.
        token = re.sub(r"[^A-Za-z0-9_.-]", "_", name) or "_"
        metrics.append(f"{token};dur={sum(durations) * 1000:.1f}")
    own = response.headers.get("Server-Timing")
    response.headers["Server-Timing"] = ", ".join([own, *metrics] if own else metrics)
