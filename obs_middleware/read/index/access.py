"""
The address of a search engine and the credentials for it: the options, the environment and files.

Read. No option takes a password or a key, because everyone on the machine can see the arguments of a process. Messages
never contain secrets.
"""

from __future__ import annotations

import argparse
import base64
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import SplitResult, unquote, urlsplit

from obs_middleware.read.errors import ExpressionError, SourceError
from obs_middleware.read.where.times import seconds_of

__all__ = ["Access", "access_of", "add_access", "refuse_access"]

USER: Final = "OBS_MIDDLEWARE_USER"
PASSWORD: Final = "OBS_MIDDLEWARE_PASSWORD"  # noqa: S105 -- a name
API_KEY: Final = "OBS_MIDDLEWARE_API_KEY"


@dataclass(frozen=True, slots=True)
class Access:
    """
    The address of a search engine, and the credentials for it.

    Attributes:
        host: Name or address, without brackets.
        path: Prefix of the paths of the API.
        user: Name and password, or None.
        api_key: The text after ``ApiKey`` in the header, or None.
        ca_certs: A file of certificates to trust; None for the certificates of the client library.
        insecure: Whether every certificate is trusted.
        timeout_seconds: How long to wait for all answers together.
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
        """The header with the credentials. It encodes a password as UTF-8; a client library might not."""
        if self.user is not None:
            return {"Authorization": f"Basic {base64.b64encode(':'.join(self.user).encode()).decode()}"}
        return {"Authorization": f"ApiKey {self.api_key}"} if self.api_key else {}

    @property
    def url(self) -> str:
        """The URL without secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def add_access(parser: argparse.ArgumentParser) -> None:
    """Add the options that `access_of` reads."""
    group = parser.add_argument_group("Elasticsearch or OpenSearch, instead of files")
    group.add_argument("--opensearch", metavar="URL", help="https://logs.example:9200, also with user:password@")
    group.add_argument("--index", metavar="PATTERN", action="append", default=[], help="logs-shop-*; may be repeated")
    group.add_argument("--user", metavar="NAME", help=f"or set {USER}; the password is in {PASSWORD}")
    group.add_argument("--api-key", metavar="FILE", help=f"file with the key; or set {API_KEY} to the key")
    group.add_argument("--ca-certs", metavar="FILE", help="file of certificates to trust, instead of the usual ones")
    group.add_argument("--insecure", action="store_true", help="trust every certificate")
    group.add_argument(
        "--timeout", metavar="TIME", default="60s", help="how long to wait for all answers together (60s)"
    )


def refuse_access(parser: argparse.ArgumentParser, reason: str) -> None:
    """Make ``--opensearch`` an error with *reason*, in a command that cannot ask a search engine."""

    class Refuse(argparse.Action):
        def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
            parser.error(f"--opensearch: {reason}")

    parser.add_argument("--opensearch", nargs="?", action=Refuse, help=argparse.SUPPRESS)


def access_of(arguments: argparse.Namespace) -> Access | None:
    """
    Return the access to the search engine that the options name; None if they name none.

    Raises:
        ExpressionError: An option is invalid or missing.
        SourceError: A file cannot be read.
    """
    if arguments.opensearch is None:
        used = [name for name in ("index", "user", "api_key", "ca_certs", "insecure") if getattr(arguments, name)]
        if used:
            raise ExpressionError(f"--{used[0].replace('_', '-')} needs a search engine: add --opensearch URL")
        return None
    if getattr(arguments, "files", None):
        raise ExpressionError("--opensearch and files cannot be combined: remove one of them")
    if not arguments.index:
        raise ExpressionError("--opensearch needs --index: name an index or a pattern, for example logs-shop-*")
    url, port = _url(arguments.opensearch)
    if arguments.ca_certs is not None:
        if url.scheme != "https":
            raise ExpressionError("--ca-certs needs an https URL: change --opensearch or remove --ca-certs")
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
        timeout_seconds=seconds_of(arguments.timeout, "--timeout"),
    )


_PORTS: Final = {"http": 9200, "https": 443}


def _url(text: str) -> tuple[SplitResult, int]:
    """Return the parts of a URL and its port, which is by default that of the client library."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        url, port = urlsplit(""), None
    if url.scheme not in _PORTS or not url.hostname or url.query or url.fragment:
        # The message does not repeat the value, which may contain a password.
        raise ExpressionError("invalid --opensearch: use a URL, for example https://logs.example:9200")
    return url, port or _PORTS[url.scheme]


def _secrets(arguments: argparse.Namespace, url: SplitResult) -> tuple[tuple[str, str] | None, str | None]:
    """Return the user with the password, or the key. The command line takes precedence over the environment."""
    if url.username is not None:
        return (unquote(url.username), unquote(url.password or "") or os.environ.get(PASSWORD, "")), None
    if arguments.user is not None and arguments.api_key is not None:
        raise ExpressionError("--user and --api-key cannot be combined: remove one of them")
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
        raise ExpressionError(f"invalid {where}: give the name only, and set {PASSWORD} to the password")
    password = os.environ.get(PASSWORD)
    if password is None:
        raise ExpressionError(f"{where} needs a password: set {PASSWORD} in the environment")
    return name, password


def _encoded(key: str, where: str) -> str:
    """Return a key for the header: the value that Elasticsearch calls ``encoded``, or the encoded ``id:api_key``."""
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ExpressionError(f"{where} contains no API key: use one line of ASCII without spaces")
    return base64.b64encode(key.encode()).decode() if ":" in key else key


def _contents(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SourceError(f"{name}: {getattr(error, 'strerror', None) or error}") from error
