"""
How a search engine is reached: its options, and where secrets come from.

Read. A password or a key is never an argument of its own, for everyone on the machine sees those: it is in the
environment, or in a file. Messages never contain it.
"""

from __future__ import annotations

import argparse
import base64
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from obs_middleware.read.errors import ExpressionError, SourceError
from obs_middleware.read.where.expression import seconds_of

__all__ = ["Access", "access_of", "add_access"]

USER: Final = "OBS_MIDDLEWARE_USER"
PASSWORD: Final = "OBS_MIDDLEWARE_PASSWORD"  # noqa: S105 -- a name
API_KEY: Final = "OBS_MIDDLEWARE_API_KEY"


@dataclass(frozen=True, slots=True)
class Access:
    """
    All that is needed to reach a search engine.

    Attributes:
        host: Its name or address, without brackets.
        path: The prefix of the paths of its API.
        user: Name and password; None for none.
        api_key: What follows ``ApiKey`` in the header; None for none.
        ca_certs: A file of certificates to trust; None for those that the client library brings.
        insecure: Whether any certificate is trusted.
        timeout_seconds: How long to wait for each answer.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    user: tuple[str, str] | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    ca_certs: str | None = None
    insecure: bool = False
    timeout_seconds: float = 60.0

    @property
    def headers(self) -> dict[str, str]:
        """What says who asks; a password is UTF-8 in it, which a client library might not make it."""
        if self.user is not None:
            return {"Authorization": f"Basic {base64.b64encode(':'.join(self.user).encode()).decode()}"}
        return {"Authorization": f"ApiKey {self.api_key}"} if self.api_key else {}

    @property
    def url(self) -> str:
        """The URL without secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def add_access(parser: argparse.ArgumentParser) -> None:
    """Give *parser* the options that `access_of` reads."""
    group = parser.add_argument_group("a search engine instead of files, Elasticsearch or OpenSearch")
    group.add_argument("--opensearch", metavar="URL", help="https://logs.example:9200; may have user:password@")
    group.add_argument("--index", metavar="PATTERN", action="append", default=[], help="logs-shop-*; given twice, both")
    group.add_argument("--user", metavar="NAME", help=f"or {USER}; the password is in {PASSWORD}")
    group.add_argument("--api-key", metavar="FILE", help=f"a file that holds the key; or the key is in {API_KEY}")
    group.add_argument("--ca-certs", metavar="FILE", help="certificates to trust, instead of the usual ones")
    group.add_argument("--insecure", action="store_true", help="trust any certificate")
    group.add_argument("--timeout", metavar="TIME", default="60s", help="how long to wait for each answer (60s)")


def access_of(arguments: argparse.Namespace) -> Access | None:
    """
    Return how to reach the search engine that the options name; None if they name none.

    Raises:
        ExpressionError: One of them makes no sense, or one is missing.
        SourceError: A file cannot be read.
    """
    if arguments.opensearch is None:
        used = [name for name in ("index", "user", "api_key", "ca_certs", "insecure") if getattr(arguments, name)]
        if used:
            raise ExpressionError(f"--{used[0].replace('_', '-')} is for a search engine: name it, --opensearch URL.")
        return None
    if getattr(arguments, "files", None):
        raise ExpressionError("--opensearch is asked instead of files: name one or the other.")
    if not arguments.index:
        raise ExpressionError("--opensearch needs an --index: a name or a pattern, such as logs-shop-*.")
    url, port = _url(arguments.opensearch)
    if arguments.ca_certs is not None:
        if url.scheme != "https":
            raise ExpressionError("--ca-certs is for an https:// URL.")
        _contents(arguments.ca_certs)
    user, api_key = _secrets(arguments, url)
    return Access(
        url.scheme,
        url.hostname or "",
        port,
        url.path.rstrip("/"),
        user=user,
        api_key=api_key,
        ca_certs=arguments.ca_certs,
        insecure=arguments.insecure,
        timeout_seconds=seconds_of(arguments.timeout),
    )


_PORTS: Final = {"http": 9200, "https": 443}


def _url(text: str) -> tuple[SplitResult, int]:
    """Return the parts of a URL, and its port; without one that of the client library."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        url, port = urlsplit(""), None
    if url.scheme not in _PORTS or not url.hostname or url.query or url.fragment:
        # Not repeated: it may hold a password.
        raise ExpressionError("--opensearch is no URL; expected such as https://logs.example:9200.")
    return url, port or _PORTS[url.scheme]


def _secrets(arguments: argparse.Namespace, url: SplitResult) -> tuple[tuple[str, str] | None, str | None]:
    """Return user with password, or the key: what the command line says wins over the environment."""
    if url.username is not None:
        return (unquote(url.username), unquote(url.password or "") or os.environ.get(PASSWORD, "")), None
    if arguments.user is not None and arguments.api_key is not None:
        raise ExpressionError("--user and --api-key: one of them is enough.")
    if arguments.user is not None:
        return _user(arguments.user, "--user"), None
    if arguments.api_key is not None:
        return None, _encoded(_contents(arguments.api_key), arguments.api_key)
    if key := os.environ.get(API_KEY):
        return None, _encoded(key, API_KEY)
    if name := os.environ.get(USER):
        return _user(name, USER), None
    return None, None


def _user(name: str, where: str) -> tuple[str, str]:
    if ":" in name:
        raise ExpressionError(f"{where} is a name only; the password is in the environment, {PASSWORD}.")
    password = os.environ.get(PASSWORD)
    if password is None:
        raise ExpressionError(f"{where} needs a password: in the environment, {PASSWORD}.")
    return name, password


def _encoded(key: str, where: str) -> str:
    """Return a key as the header has it: as Elasticsearch gives it as ``encoded``, or made of ``id:api_key``."""
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ExpressionError(f"{where} holds no API key: one line of ASCII was expected.")
    return base64.b64encode(key.encode()).decode() if ":" in key else key


def _contents(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SourceError(f"{name}: {getattr(error, 'strerror', None) or error}") from error
