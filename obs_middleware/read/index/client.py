"""
A search engine, Elasticsearch or OpenSearch, as far as it is asked: searches, and the fields of an index.

Read. Both products are reached by the API that they have in common, with the client of OpenSearch, which does not look
whose server it talks to. Every failure is one line for the user.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self

import opensearchpy
from opensearchpy import exceptions

from obs_middleware.read.errors import ExpressionError, SourceError
from obs_middleware.read.index.access import Access
from obs_middleware.read.index.dsl import NUMBERS, TIMES, IndexField
from obs_middleware.read.schemas import SCHEMAS, TYPES

__all__ = ["Engine", "Fields"]

_FOREIGN: Final = "the answer is not that of a search engine"
_FULL_TEXT: Final = frozenset({"text", "match_only_text"})
_SCHEMA: Final = SCHEMAS["ecs"]
_ECS: Final = {field: ".".join(place.path) for field, place in _SCHEMA.places.items()}
_NANOSECONDS: Final = frozenset(field for field, place in _SCHEMA.places.items() if place.form == "ns")
# `obs.extra` is not indexed.
_OWN: Final = tuple(".".join(path[:-1]) for path in _SCHEMA.own if path[0] != "obs")
_NEEDED: Final = {"duration_seconds": NUMBERS, "timestamp": TIMES}


class Engine:
    """
    A connection to a search engine.

    Args:
        access: How it is reached. Nothing is sent until something is asked.
    """

    def __init__(self, access: Access) -> None:
        # It would print each failure, with a traceback, where no handler is.
        logging.getLogger("opensearch").addHandler(logging.NullHandler())
        self._access = access
        if access.insecure:
            print(f"obs-middleware: {access.url}: the certificate is not checked (--insecure)", file=sys.stderr)
        secure: dict[str, Any] = {}
        if access.scheme == "https":
            secure = {"verify_certs": not access.insecure, "ssl_show_warn": False, "ca_certs": access.ca_certs}
            secure |= {"ssl_assert_hostname": False} if access.insecure else {}
        self._client = opensearchpy.OpenSearch(
            hosts=[{"host": access.host, "port": access.port, "url_prefix": access.path}],
            use_ssl=access.scheme == "https",
            headers=access.headers,
            timeout=access.timeout_seconds,
            max_retries=0,
            **secure,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def url(self) -> str:
        """Where it is, without secrets."""
        return self._access.url

    def search(self, index: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """
        Run a search and return the answer. A partial answer (failed shards, timeout) raises.

        Raises:
            SourceError: There is none.
        """
        with self._explained(index):
            answer: dict[str, Any] = self._client.search(
                index=index,
                body=dict(body),
                params={"allow_no_indices": "false", "allow_partial_search_results": "false"},
            )
        if not {"_shards", "hits"} <= set(answer):
            raise SourceError(f"{self.url}: {_FOREIGN}")
        if answer.get("timed_out") or answer["_shards"]["failed"]:
            raise SourceError(f"{self.url}/{index}: the engine answered for a part of its shards only")
        return answer

    def count(self, index: str, query: Mapping[str, Any]) -> int:
        """
        Return how many documents *query* finds.

        Raises:
            SourceError: The engine does not say.
        """
        with self._explained(index):
            found: int = self._client.count(index=index, body={"query": query}, params={"allow_no_indices": "false"})[
                "count"
            ]
        return found

    def fields(self, index: str, own: Iterable[str]) -> Fields:
        """
        Return the fields of the package in *index*, and those of the application that *own* names.

        Raises:
            SourceError: There is no such index, or it does not hold lines of the schema ``ecs``.
        """
        names = [*_ECS.values(), *(name for field in own for name in _names(field)), "event_id"]
        wanted = dict.fromkeys([*names, *(f"{name}.keyword" for name in names)])
        with self._explained(index):
            answer = self._client.field_caps(index=index, params={"fields": ",".join(wanted)})
        if not {"indices", "fields"} <= set(answer):
            raise SourceError(f"{self.url}: {_FOREIGN}")
        if not answer["indices"]:
            raise SourceError(f"{self.url}: no such index: {index}")
        return Fields(f"{self.url}/{index}", answer["fields"])

    @contextmanager
    def _explained(self, index: str) -> Iterator[None]:
        """Raise what a user can do something about."""
        url = self.url
        try:
            yield
        except exceptions.ConnectionTimeout as error:
            seconds = self._access.timeout_seconds
            raise SourceError(f"{url}: no answer within {seconds:g} s; allow more: --timeout 5m") from error
        except exceptions.SSLError as error:
            raise SourceError(f"{url}: {_cause(error)}; name who signed it: --ca-certs FILE") from error
        except exceptions.ConnectionError as error:
            raise SourceError(f"{url}: cannot be reached: {_cause(error)}") from error
        except exceptions.AuthenticationException as error:
            raise SourceError(f"{url}: 401, {_unknown(self._access)}") from error
        except exceptions.AuthorizationException as error:
            raise SourceError(f"{url}: 403, {_who(self._access)} may not read {index}") from error
        except exceptions.NotFoundError as error:
            raise SourceError(f"{url}: no such index: {index}") from error
        except exceptions.TransportError as error:
            raise SourceError(f"{url}: {error.status_code}, {_reason(error)}") from error
        except exceptions.SerializationError as error:
            raise SourceError(f"{url}: {_FOREIGN}") from error


def _cause(error: exceptions.ConnectionError) -> str:
    """Return the innermost reason, which says most."""
    cause: BaseException = error.info if isinstance(error.info, BaseException) else error
    while True:
        inner = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
        if not isinstance(inner, BaseException):
            break
        cause = inner
    if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, exceptions.ConnectionError):
        return getattr(cause, "verify_message", None) or cause.strerror
    return str(cause).splitlines()[0]


def _who(access: Access) -> str:
    if access.user is not None:
        return f"the user {access.user[0]!r}"
    return "a request without credentials" if access.api_key is None else "the API key"


def _unknown(access: Access) -> str:
    if access.user is None and access.api_key is None:
        return "it wants to know who asks: --user or --api-key"
    return f"it does not know {_who(access)}{', or the password is another' if access.user else ''}"


def _reason(error: exceptions.TransportError) -> str:
    """Return what the engine says, in one line."""
    said = error.info.get("error") if isinstance(error.info, Mapping) else None
    if isinstance(said, Mapping):
        causes = said.get("root_cause") or [said]
        caused = said.get("caused_by")
        first = causes[0] if isinstance(causes, Sequence) and causes else said
        text = (caused or first).get("reason") or first.get("type") or "no reason given"
    else:
        text = said or error.error
    return " ".join(str(text).split())[:300]


def _names(field: str) -> list[str]:
    """Return what a field of the application may be called in an index; last, in full, what a shipper added."""
    return [*(f"{place}.{field}" for place in _OWN), field]


class Fields:
    """
    The fields of one index or of several, with their types.

    Args:
        where: The index of the fields, for messages.
        capabilities: As the engine gives them: field -> type -> what can be done with it.

    Raises:
        SourceError: There is no duration or no time, or it has a wrong type.
    """

    def __init__(self, where: str, capabilities: Mapping[str, Mapping[str, Any]]) -> None:
        self._where = where
        self._capabilities = capabilities
        for field, types in _NEEDED.items():
            found = self.find(field)
            if found is None:
                raise SourceError(f"{where}: no request line: there is no field {_ECS[field]} of the schema ecs")
            if found.type not in types:
                raise SourceError(f"{where}: {_ECS[field]} is {found.type}; {_CURE}")

    def find(self, field: str) -> IndexField | None:
        """
        Return where *field* is; None for one of the package that the index has not.

        Raises:
            SourceError: Its type differs from index to index.
            ExpressionError: The package does not have it and no line has it; or it is in two places.
        """
        if field in TYPES:
            return self._named(_ECS[field], nanoseconds=field in _NANOSECONDS)
        found = [one for one in map(self._named, _names(field)) if one is not None]
        if not found:
            raise ExpressionError(f"{field}: {self._where} has no such field; looked for {', '.join(_names(field))}.")
        if len(found) > 1:
            raise ExpressionError(f"{field}: may be {' or '.join(one.name for one in found)}; name it in full.")
        return found[0]

    def name(self, field: str) -> str:
        """Return what a field of the package is called; in an index that has not got it that finds nothing."""
        found = self.find(field)
        return _ECS[field] if found is None else found.name

    def summed_up(self, field: str) -> IndexField | None:
        """
        Return the same, if lines can be grouped by it.

        Raises:
            SourceError: They cannot.
        """
        found = self.find(field)
        if found is None:
            return None
        if found.type in _FULL_TEXT or not self._capabilities[found.name][found.type]["aggregatable"]:
            raise SourceError(f"{self._where}: {found.name} is {found.type}, and cannot be grouped by; {_CURE}")
        return found

    def tie(self) -> IndexField | None:
        """Return the field with the id of each line, if it can be sorted by."""
        found = self._named("event_id")
        return None if found is None or found.type in _FULL_TEXT else found

    def _named(self, name: str, *, nanoseconds: bool = False) -> IndexField | None:
        types = [kind for kind in self._capabilities.get(name, {}) if kind not in {"object", "unmapped"}]
        if len(types) > 1 and not _alike(types):
            raise SourceError(f"{self._where}: {name} is {' here and '.join(sorted(types))} there; {_CURE}")
        if not types:
            return None
        # The search engine's default type for text is full text, with a keyword beside it.
        if types[0] in _FULL_TEXT and (found := self._named(f"{name}.keyword")):
            return found
        return IndexField(name, types[0], nanoseconds)


_CURE: Final = "obs-middleware elastic-template prints the types that are needed"


def _alike(types: Iterable[str]) -> bool:
    return set(types) <= NUMBERS or set(types) <= TIMES
