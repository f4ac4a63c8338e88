"""`obs_middleware.measure.remembered`: caches have a limit in bytes, and no other cache keeps what clients send."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from paths import ROOT
from steps import kept_bytes

from obs_middleware import bind
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.handlers import LineFileHandler
from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.options import SchemaName
from obs_middleware.measure.client import normal_address
from obs_middleware.measure.remembered import LONGEST, MOST, Remembered
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.redaction import DEFAULT_NAMES, Secrets


def test_the_function_is_called_once_for_a_text_that_comes_again() -> None:
    calls: list[str] = []

    def length(text: str) -> int:
        calls.append(text)
        return len(text)

    remembered = Remembered(length)

    assert [remembered["abc"], remembered["abc"], remembered["ab"]] == [3, 3, 2]
    assert calls == ["abc", "ab"]


def test_the_oldest_text_is_forgotten_first() -> None:
    remembered = Remembered(len)
    for number in range(MOST + 1):
        remembered[str(number)]

    assert len(remembered) == MOST
    assert "0" not in remembered
    assert {"1", str(MOST)} <= remembered.keys()


def test_a_long_text_is_not_kept() -> None:
    remembered = Remembered(len)

    assert remembered["x" * (LONGEST + 1)] == LONGEST + 1
    assert not remembered


def test_what_was_set_by_hand_stays() -> None:
    remembered: Remembered[int] = Remembered()
    remembered["fixed"] = 1
    for number in range(2 * MOST):
        remembered.remember(str(number), number)

    assert remembered["fixed"] == 1
    with pytest.raises(KeyError, match="unknown"):
        remembered["unknown"]


def test_a_cache_full_of_the_worst_texts_has_the_size_that_is_documented() -> None:
    remembered = Remembered(len)

    def fill() -> None:
        for number in range(3 * MOST):
            remembered[f"{number:05}" + "\U0001f600" * (LONGEST - 5)]

    assert kept_bytes(fill) < 1_300_000


# The caches of the package

MOST_KEPT: Final = 1_500_000
"""Less than 200 texts of 20,000 characters, and more than coverage keeps of the threads of 200 requests."""

LONG: Final = "a" * 20_000
FLOODS: dict[str, Callable[[int], dict[str, Any]]] = {
    "paths": lambda n: {"path": f"/{n}{LONG}"},
    "names in queries": lambda n: {"path": f"/?{n}{LONG}=1&k{n}=2"},
    "hops": lambda n: {"path": "/", "headers": {"X-Forwarded-For": f"{n}{LONG}, 10.1.{n // 250}.{n % 250}"}},
    "hosts": lambda n: {"path": "/", "headers": {"Host": f"{n}{LONG}:80"}},
    "ids": lambda n: {"path": "/", "headers": {"X-Request-ID": f"{n}-id", "traceparent": f"00-{n:032x}-{n:016x}-01"}},
    "browsers": lambda n: {"path": "/", "headers": {"User-Agent": f"{n}{LONG}", "Referer": f"/?{n}{LONG}=1"}},
}


def echo(request: HttpRequest) -> HttpResponse:
    bind(**dict.fromkeys(request.GET, 1))
    return HttpResponse()


async def echo_async(request: HttpRequest) -> HttpResponse:
    return echo(request)


@pytest.fixture(name="handlers")
def _handlers(tmp_path: Path) -> Iterator[None]:
    """Write each line in three schemas."""
    schemas: tuple[SchemaName, ...] = ("flat", "ecs", "gcp")
    handlers = [LineFileHandler(tmp_path / schema) for schema in schemas]
    for handler, schema in zip(handlers, schemas, strict=True):
        handler.setFormatter(JSONFormatter(schema=schema))
    logging.getLogger().handlers[:] = handlers  # those of pytest keep all records
    yield
    for handler in handlers:
        handler.close()


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("what", FLOODS)
def test_no_cache_grows_with_what_clients_send(mode: str, what: str) -> None:
    """Without Django's test client, which keeps something of each request."""
    settings = {"FIELDS": ["query", "host", "scheme", "user_agent", "referrer"], "TRUSTED_PROXIES": 1}
    with override_settings(OBS_MIDDLEWARE=settings):
        send: Any = TimingMiddleware(echo) if mode == "sync" else async_to_sync(TimingMiddleware(echo_async))
    make = RequestFactory() if mode == "sync" else AsyncRequestFactory()

    def flood(start: int) -> None:
        for number in range(start, start + 200):
            send(make.get(**FLOODS[what](number)))
        urlsplit.cache_clear()  # type: ignore[attr-defined]  # the factory of requests fills it

    flood(0)

    # What grows, grows each time. Once, a table of coverage may become twice as large.
    assert min(kept_bytes(functools.partial(flood, start)) for start in (1_000, 2_000, 3_000)) < MOST_KEPT


def test_redaction_is_as_quick_as_before_when_the_junk_is_over() -> None:
    secrets = Secrets(DEFAULT_NAMES)
    for number in range(2 * MOST):
        secrets.hides(f"junk{number}")
    secrets.hides("password")

    assert "password" in secrets._known


def test_a_name_is_known_again_when_the_junk_is_over() -> None:
    cleaner = Cleaner()
    for number in range(2 * MOST):
        cleaner.clean_fields({f"junk{number}": 1})
    assert not cleaner.is_plain({"tenant": "t1"})

    cleaner.clean_fields({"tenant": "t1"})

    assert cleaner.is_plain({"tenant": "t1", "status": 200})
    assert len(cleaner._keys) < MOST + 100


def test_an_address_is_what_it_was_when_it_is_asked_for_again() -> None:
    assert [normal_address("[2001:DB8::1]:80"), normal_address("[2001:DB8::1]:80")] == ["2001:db8::1"] * 2
    assert [normal_address("nowhere"), normal_address("nowhere")] == [None, None]


def test_other_caches_have_no_texts_of_clients_as_keys() -> None:
    """They are keyed by classes, views and a setting, of which a site has a fixed number."""
    package = ROOT / "obs_middleware"
    cached = {
        f"{module.relative_to(package).with_suffix('')}: {name}"
        for module in package.rglob("*.py")
        for name in re.findall(r"@functools\.(?:lru_)?cache.*\n(?:async )?def (\w+)", module.read_text())
    }

    assert cached == {
        "measure/policy: merged_rule",
        "metrics: _source",
        "middleware: _sync_twin",
        "redaction: _parts_and_words",
    }
