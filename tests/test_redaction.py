"""`obs_middleware.redaction`: secrets never reach a line."""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote

import pytest
from conftest import Get, Site, respond
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from hypothesis import given
from hypothesis import strategies as st

from obs_middleware import annotate, bind, timed
from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter, LogfmtFormatter
from obs_middleware.redaction import DEFAULT_NAMES, REDACTED, Secrets
from obs_middleware.testing import CapturedRequests

secrets = Secrets(DEFAULT_NAMES)
SECRET = "hunter2"


@pytest.mark.parametrize(
    "name",
    [
        "password", "PASSWORD", "new_password", "newPassword", "user[password]", "passwordConfirm", "passwd", "pwd",
        "secret", "client-secret", "token", "access_token", "accessToken", "accesstoken", "csrfmiddlewaretoken",
        "Authorization", "Proxy-Authorization", "auth", "X-Auth", "Cookie", "Set-Cookie", "session", "sessionid",
        "api_key", "api-key", "apikey", "X-Api-Key", "APIKey", "card_number", "cardNumber", "credit_card", "cvv",
        "card_cvc", "pin", "card_pin", "otp", "sig", "X-Amz-Signature", "private_key", "jwt", "passphrase", "iban",
    ],
)  # fmt: skip
def test_a_secret_name_is_known_in_every_spelling(name: str) -> None:
    assert secrets.hides(name)


@pytest.mark.parametrize(
    "name",
    [
        "page",
        "author",
        "shipping",
        "signal",
        "tokens",
        "prompt_tokens",
        "design",
        "opinion",
        "key",
        "q",
        "",
        "id",
        "card",
        "auth_seconds",
        "token_count",
    ],
)
def test_an_ordinary_name_is_left_alone(name: str) -> None:
    assert not secrets.hides(name)


@pytest.mark.parametrize(
    ("query", "hidden"),
    [
        ("token=hunter2", "token=[redacted]"),
        ("a=1&token=hunter2&b=2", "a=1&token=[redacted]&b=2"),
        ("token=x&token=y", "token=[redacted]&token=[redacted]"),
        ("user[password]=x", "user[password]=[redacted]"),
        ("user%5Bpassword%5D=x", "user%5Bpassword%5D=[redacted]"),
        ("p%61ssword=x", "p%61ssword=[redacted]"),
        ("p%2561ssword=x", "p%2561ssword=[redacted]"),
        ("a=1;token=x", "a=1;token=[redacted]"),
        ("token", "token"),
        ("token=", "token="),
        ("token=a=b", "token=[redacted]"),
        ("", ""),
        ("&&=&", "&&=&"),
        ("next=/login%3Ftoken%3Dx%26a%3D1", "next=[redacted]"),
        ("next=%252Flogin%253Ftoken%253Dx", "next=[redacted]"),
        ("next=/login?token=x&a=1", "next=[redacted]&a=1"),
        ("filter=%7B%22user%22:%7B%22password%22:%20%22x%22%7D%7D", "filter=[redacted]"),
        ("next=https://host:80/a?page=2", "next=https://host:80/a?page=2"),
        ("q=a+token+of+love", "q=a+token+of+love"),
    ],
)
def test_the_values_of_secrets_are_hidden_in_a_query(query: str, hidden: str) -> None:
    assert secrets.hide_in_query(query) == hidden


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("https://u:p@host/x?token=1#frag", "https://host/x?token=[redacted]"),
        ("https://host/x", "https://host/x"),
        ("/x?a=1", "/x?a=1"),
        ("", ""),
    ],
)
def test_a_url_loses_user_secrets_and_fragment(url: str, hidden: str) -> None:
    assert secrets.hide_in_url(url) == hidden


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20))))
def test_hiding_changes_nothing_but_the_values_of_secrets(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    hidden = dict(parse_qsl(secrets.hide_in_query(query), keep_blank_values=True))

    for name, value in dict(pairs).items():
        if secrets.hides(name):
            assert hidden[name] in {REDACTED, ""}
        else:
            assert (
                hidden.get(name) == value or secrets.hides(quote(name)) or secrets.hide_in_query(f"x={value}") != value
            )


@given(st.text())
def test_any_text_may_be_a_query(text: str) -> None:
    assert isinstance(secrets.hide_in_query(text), str)
    assert isinstance(secrets.hide_in_url(text), str)
    assert isinstance(secrets.hides(text), bool)


@dataclasses.dataclass
class Login:
    name: str
    password: str


class Account(NamedTuple):
    name: str
    password: str


@pytest.mark.parametrize(
    "make",
    [
        lambda: Account("u", SECRET),
        lambda: SimpleNamespace(password=SECRET),
        lambda: SimpleNamespace(a={"api_key": SECRET, "b": 1}),
        lambda: SimpleNamespace(password=[SECRET, SECRET]),
        lambda: SimpleNamespace(password=SimpleNamespace(a=SECRET, b=SECRET)),
        lambda: SimpleNamespace(password=f"'\\\"{SECRET}"),
        lambda: SimpleNamespace(token=SECRET.encode()),
        lambda: SimpleNamespace(a="x" * 50_000, token=SECRET),
        lambda: inspect.signature(lambda password=SECRET: None),
    ],
    ids=["tuple", "attribute", "key", "list", "inner", "quotes", "bytes", "long", "signature"],
)
@pytest.mark.parametrize("formatter", [JSONFormatter, ConsoleFormatter, LogfmtFormatter])
def test_secrets_in_the_repr_of_an_object_are_hidden(
    make: Callable[[], Any], formatter: Any, lines: CapturedRequests
) -> None:
    text = formatter().format(logging.makeLogRecord({"msg": "x", "it": make(), "seen": "yes"}))

    assert SECRET not in text
    assert "yes" in text


@given(st.text())
def test_a_repr_without_secrets_is_unchanged(text: str) -> None:
    assert Secrets(()).hide_in_repr(text) == text


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("A(name='u', password='p', age=3)", "A(name='u', password=[redacted], age=3)"),
        ("A(pin=1, b=2)", "A(pin=[redacted], b=2)"),
        ("{'token': None, 'a': 1}", "{'token': [redacted], 'a': 1}"),
        ("A(time=12:30, note='the token: none')", "A(time=12:30, note='the token: [redacted])"),
        ("password=", "password=[redacted]"),
    ],
)
def test_the_values_of_secrets_are_hidden_in_a_repr(text: str, hidden: str) -> None:
    assert secrets.hide_in_repr(text) == hidden


@pytest.mark.parametrize("formatter", [JSONFormatter, ConsoleFormatter, LogfmtFormatter])
def test_the_fields_of_an_application_are_hidden_however_deep(formatter: Any, lines: CapturedRequests) -> None:
    import io  # noqa: PLC0415

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter())
    logging.getLogger().addHandler(handler)

    def view(request: HttpRequest) -> HttpResponse:
        bind(token=SECRET, user={"name": "u", "password": SECRET, "cards": [{"card_number": SECRET}]})
        annotate(login=Login("u", SECRET))
        logging.getLogger("site").info("x", extra={"api_key": SECRET, "plain": "seen"})
        return HttpResponse()

    respond(view, RequestFactory().get("/"))

    text = stream.getvalue()
    assert SECRET not in text
    assert "seen" in text
    assert text.count(REDACTED) >= 7
    assert SECRET not in json.dumps([*lines, *lines.logs])


def test_the_numbers_of_a_timed_block_are_not_secret(lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        with timed("auth"), timed("token"):
            return HttpResponse()

    respond(view, RequestFactory().get("/"))

    assert (lines[0]["auth_count"], lines[0]["token_count"]) == (1, 1)
    assert all(isinstance(lines[0][name], float) for name in ("auth_seconds", "token_seconds"))


def test_the_query_is_not_on_a_line_by_default(get: Get, lines: CapturedRequests) -> None:
    get(f"/talk/?token={SECRET}&a={SECRET}", headers={"Cookie": f"sessionid={SECRET}", "Authorization": SECRET})

    assert SECRET not in json.dumps([*lines, *lines.logs])


def test_a_project_names_its_own_secrets(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        bind(nickname="n", password="p")
        return HttpResponse()

    site.get(view, OBS_MIDDLEWARE={"REDACT": [*DEFAULT_NAMES, "nickname"]})
    site.get(view, OBS_MIDDLEWARE={"REDACT": []})

    assert [(line["nickname"], line["password"]) for line in lines] == [(REDACTED, REDACTED), ("n", "p")]


def test_the_number_of_remembered_names_is_limited() -> None:
    own = Secrets(["password"])
    for number in range(10_000):
        own.hides(f"name{number}")

    assert len(own._known) < 5_000


def test_a_formatter_accepts_a_mistake_in_the_settings() -> None:
    with pytest.raises(Exception, match="expected"), override_settings(OBS_MIDDLEWARE={"REDACT": 7}):
        pass
    assert JSONFormatter().format(logging.makeLogRecord({"msg": "x", "password": SECRET})).count(REDACTED) == 1
