"""
A connection to a search engine, Elasticsearch or OpenSearch: searches, counts, and the fields of an index.

Read. `Client` uses only the API that both products have, through opensearch-py, which does not check the product of the
server. Every failure becomes one line for the user.
"""

from __future__ import annotations

import functools
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar

import opensearchpy
from opensearchpy import exceptions

from obs_middleware.read.errors import SourceError, UsageError
from obs_middleware.read.index.access import Access
from obs_middleware.read.index.fields import Fields, names_of

__all__ = ["Client", "understands_answers"]

T = TypeVar("T")
C = TypeVar("C", bound=type)

_FOREIGN: Final = "the answer is not from Elasticsearch or OpenSearch: check the URL"


class Client:
    """
    A connection to a search engine. Use it as a context manager, which closes it.

    Args:
        access: Address and credentials. Nothing is sent before the first question. The timeout begins now, and is for
            all questions together.
    """

    def __init__(self, access: Access) -> None:
        # Without a handler, the client library prints each failure with a traceback.
        logging.getLogger("opensearch").addHandler(logging.NullHandler())
        self._access = access
        self._deadline = time.monotonic() + access.timeout_seconds
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
        """The URL of the search engine, without secrets."""
        return self._access.url

    def search(self, index: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """
        Run a search and return the answer.

        Raises:
            SourceError: The search failed, or the answer is partial (failed shards, timeout).
        """
        params = {"allow_no_indices": "false", "allow_partial_search_results": "false"}
        answer = self._ask(index, {"_shards", "hits"}, self._client.search, body=dict(body), params=params)
        if answer.get("timed_out") or answer["_shards"]["failed"]:
            raise SourceError(f"{self.url}/{index}: partial answer: some shards failed or took too long")
        return answer

    def count(self, index: str, query: Mapping[str, Any]) -> int:
        """
        Return the number of documents that match *query*.

        Raises:
            SourceError: The count failed.
        """
        params = {"allow_no_indices": "false"}
        answer = self._ask(index, {"count"}, self._client.count, body={"query": query}, params=params)
        return int(answer["count"])

    def fields(self, index: str, own: Iterable[str]) -> Fields:
        """
        Return the fields of the package in *index*, and the fields *own* of the application.

        Raises:
            SourceError: The index does not exist, or does not contain lines of the schema ``ecs``.
        """
        params = {"fields": ",".join(names_of(own))}
        answer = self._ask(index, {"indices", "fields"}, self._client.field_caps, params=params)
        if not answer["indices"]:
            raise SourceError(f"{self.url}: no such index: {index}")
        return Fields(f"{self.url}/{index}", answer["fields"])

    def types(self, index: str, pattern: str) -> dict[str, set[str]]:
        """Return the fields of *index* that match *pattern*, for example ``app.*_seconds``: name -> types."""
        answer = self._ask(index, {"fields"}, self._client.field_caps, params={"fields": pattern})
        return {name: set(types) for name, types in answer["fields"].items()}

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Turn the exceptions of code that reads an answer of an unknown form into a message for the user."""
        try:
            yield
        except UsageError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            odd = f"{type(error).__name__}: {error}".splitlines()[0][:100]
            raise SourceError(f"{self.url}: the answer has an unknown form ({odd}): check the URL") from error

    def _ask(
        self, index: str, keys: set[str], send: Callable[..., Any], *, params: Mapping[str, Any], **arguments: Any
    ) -> dict[str, Any]:
        """Return the answer, which must have *keys*."""
        left = min(max(self._deadline - time.monotonic(), 0.0), threading.TIMEOUT_MAX)
        # The client library waits so long for each part of an answer, and so for ever for one that comes in drops.
        timed = {**params, "request_timeout": left}
        with self._explained(index):
            answer = _within(left, functools.partial(send, index=index, params=timed, **arguments))
        if not isinstance(answer, dict) or not keys <= set(answer):
            raise SourceError(f"{self.url}: {_FOREIGN}")
        return answer

    @contextmanager
    def _explained(self, index: str) -> Iterator[None]:
        """Turn the exceptions of the client library into messages for the user."""
        url = self.url
        try:
            yield
        except (exceptions.ConnectionTimeout, TimeoutError) as error:
            seconds = self._access.timeout_seconds
            raise SourceError(
                f"{url}: no complete answer within {seconds:g} s: allow more time, for example --timeout 5m"
            ) from error
        except exceptions.SSLError as error:
            raise SourceError(f"{url}: {_cause(error)}: pass the issuer's certificate, --ca-certs FILE") from error
        except exceptions.ConnectionError as error:
            raise SourceError(f"{url}: cannot be reached: {_cause(error)}") from error
        except exceptions.AuthenticationException as error:
            raise SourceError(f"{url}: 401 Unauthorized: {_unknown(self._access)}") from error
        except exceptions.AuthorizationException as error:
            raise SourceError(f"{url}: 403 Forbidden: {_who(self._access)} may not read {index}") from error
        except exceptions.NotFoundError as error:
            raise SourceError(f"{url}: no such index: {index}") from error
        except exceptions.TransportError as error:
            raise SourceError(f"{url}: {error.status_code}, {_reason(error)}") from error
        except exceptions.SerializationError as error:
            raise SourceError(f"{url}: {_FOREIGN}") from error


def understands_answers(cls: C) -> C:
    """Let every public method of a class with a `Client` in ``_client`` read answers as in `Client.understood`."""
    for name, method in list(vars(cls).items()):
        if callable(method) and not name.startswith("_"):
            setattr(cls, name, _understanding(method))
    return cls


def _understanding(method: Callable[..., T]) -> Callable[..., T]:
    @functools.wraps(method)
    def understanding(self: Any, *arguments: Any, **options: Any) -> T:
        with self._client.understood():
            return method(self, *arguments, **options)

    return understanding


def _within(seconds: float, call: Callable[[], T]) -> T:
    """
    Return the result of *call*, which runs in a thread that is left behind if it takes longer than *seconds*.

    Raises:
        TimeoutError: It takes longer.
    """
    results: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((call(), None))
        except BaseException as error:  # noqa: BLE001 -- raised below
            results.put((None, error))

    threading.Thread(target=run, name="obs-middleware search", daemon=True).start()
    try:
        result, error = results.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # None only if call returned it


def _cause(error: exceptions.ConnectionError) -> str:
    """Return the innermost reason, which is the most precise one."""
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
        return "pass --user or --api-key"
    return f"{_who(access)} is unknown{', or the password is wrong' if access.user else ''}"


def _reason(error: exceptions.TransportError) -> str:
    """Return the reason that the search engine gave, in one line."""
    body = error.info.get("error") if isinstance(error.info, Mapping) else None
    if isinstance(body, Mapping):
        causes = body.get("root_cause") or [body]
        caused = body.get("caused_by")
        first = causes[0] if isinstance(causes, Sequence) and causes else body
        text = (caused or first).get("reason") or first.get("type") or "no reason given"
    else:
        text = body or error.error
    return " ".join(str(text).split())[:300]
