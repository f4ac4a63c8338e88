"""`obs_middleware.redaction`: secrets never reach a line."""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote

import pytest
from conftest import Get, Site, respond
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.utils.functional import SimpleLazyObject
from hostile import Number
from hypothesis import given
from hypothesis import strategies as st

from obs_middleware import annotate, bind, timed
from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter, LogfmtFormatter
from obs_middleware.redaction import DEFAULT_NAMES, REDACTED, Secrets
from obs_middleware.testing import CapturedRequests

secrets = Secrets(DEFAULT_NAMES)
SECRET = "hunter2"
FIGURE = 271828182845904  # longer than a part of a time or an id


@pytest.mark.parametrize(
    "name",
    [
        "password", "PASSWORD", "new_password", "newPassword", "user[password]", "passwordConfirm", "passwd", "pwd",
        "secret", "client-secret", "token", "access_token", "accessToken", "accesstoken", "csrfmiddlewaretoken",
        "Authorization", "Proxy-Authorization", "auth", "X-Auth", "Cookie", "Set-Cookie", "session", "sessionid",
        "api_key", "api-key", "apikey", "X-Api-Key", "APIKey", "card_number", "cardNumber", "credit_card", "cvv",
        "card_cvc", "pin", "card_pin", "otp", "sig", "X-Amz-Signature", "private_key", "jwt", "passphrase", "iban",
        "pass", "user_pass", "passcode", "bearer", "dsn", "SENTRY_DSN", "database_url", "DATABASE_URL", "credentials",
        "sid", "connect.sid", "X-XSRF", "SAMLResponse", "client_assertion", "totp", "psk", "connectionString",
        "pass\u200bword", "tokens", "prompt_tokens", "access_tokens", "auth_seconds", "token_count", "secret_count",
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
        "passenger",
        "design",
        "opinion",
        "key",
        "q",
        "",
        "id",
        "card",
    ],
)
def test_an_ordinary_name_is_left_alone(name: str) -> None:
    assert not secrets.hides(name)


@pytest.mark.parametrize("name", ["tokens", "prompt_tokens", "promptTokens", "auth_seconds", "token_count"])
@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        (312, False), (0.25, False), (True, False), (None, False), (Decimal("0.25"), False),
        (Number.ONE, False),
        ("312", True), (SECRET, True), ([312], True), ({"a": 1}, True), (b"1", True), (object(), True),
    ],
)  # fmt: skip
def test_the_name_of_a_figure_hides_all_but_figures(name: str, value: object, hidden: bool) -> None:
    assert secrets.hides(name, value) is hidden
    assert secrets.hides("token", value)


def test_whether_a_lazy_value_is_a_figure_is_decided_without_evaluating_it() -> None:
    assert secrets.hides("tokens", SimpleLazyObject(lambda: pytest.fail("it was evaluated")))


@pytest.mark.parametrize("formatter", [JSONFormatter, ConsoleFormatter, LogfmtFormatter])
@pytest.mark.parametrize("figures_first", [True, False])
def test_a_figure_does_not_make_its_name_known_as_harmless(formatter: Any, figures_first: bool) -> None:
    own = formatter()
    texts = []
    for value in (FIGURE, SECRET, [SECRET])[:: 1 if figures_first else -1]:
        fields = {"access_tokens": value, "usage": {"token_count": value}, "pair": Usage(value)}
        texts.append(own.format(logging.makeLogRecord({"msg": "x", **fields})))

    assert SECRET not in "".join(texts)
    assert texts[0 if figures_first else 2].count(str(FIGURE)) == 3


class Usage(NamedTuple):
    prompt_tokens: Any


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
        ("token=abc;S3CRET&page=2", "token=[redacted]&page=2"),
        ("token=;S3CRET&page=2", "token=[redacted]&page=2"),
        ("a=1;token=x;y=z&page=2;b=3", "a=1;token=[redacted]&page=2;b=3"),
        ("next=/login?token=x;y&page=2", "next=[redacted]&page=2"),
        ("token%3Dhunter2&page=2", "[redacted]&page=2"),
        ("token%253Dhunter2", "[redacted]"),
        ("a=1;token%3Dhunter2;b", "a=1;[redacted]"),
        ("a%26token%3Dhunter2=1", "[redacted]"),
        ("redirect=https://user:pw@host/", "redirect=[redacted]"),
        ("redirect=https%3A%2F%2Fuser%3Ap%2Fw%40host%2F", "redirect=[redacted]"),
        ("redirect=https%253A%252F%252Fuser%253Ap%2540w%2540host%252F&a=1", "redirect=[redacted]&a=1"),
        ("redirect=//user@host/", "redirect=[redacted]"),
        ("next=https://host:80?a=x:y", "next=https://host:80?a=x:y"),
        ('a={"b":"//host","c":1}', 'a={"b":"//host","c":1}'),
        ("next=https://host/@user", "next=https://host/@user"),
        ("reset_tokens=hunter2", "reset_tokens=[redacted]"),
        ("secret_count=-1&max_tokens=312&a=1", "secret_count=[redacted]&max_tokens=312&a=1"),
        ("max_tokens=312;S3CRET", "max_tokens=[redacted]"),
        ("max_tokens=%33", "max_tokens=[redacted]"),
        ("next=/a%3Fmax_tokens%3D312%26b%3D2", "next=/a%3Fmax_tokens%3D312%26b%3D2"),
        ("next=/a%3Freset_tokens%3Dx312", "next=[redacted]"),
        ('body={"max_tokens": 312, "a": 1}', 'body={"max_tokens": 312, "a": 1}'),
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
        ("https://user:p@ss@host/x", "https://host/x"),
        ("https://user:p/w@host/x", REDACTED),
        ("https://user:p#w@host/x", REDACTED),
        ("https://user:p?w@host/x", REDACTED),
        ("https://host:8080/@user?a=1", "https://host:8080/@user?a=1"),
        ("https://[2001:db8::1]:80/x", "https://[2001:db8::1]:80/x"),
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


class Shown:
    """An object with a text of its own."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Account(NamedTuple):
    name: str
    password: str


@pytest.mark.parametrize(
    "make",
    [
        lambda: Account("u", SECRET),
        lambda: ("Authorization", SECRET),
        lambda: [("Accept", "*/*"), ("Authorization", SECRET)],
        lambda: [[b"authorization", SECRET.encode()]],
        lambda: SimpleNamespace(password=SECRET),
        lambda: SimpleNamespace(a={"api_key": SECRET, "b": 1}),
        lambda: SimpleNamespace(password=[SECRET, SECRET]),
        lambda: SimpleNamespace(password=SimpleNamespace(a=SECRET, b=SECRET)),
        lambda: SimpleNamespace(password=f"'\\\"{SECRET}"),
        lambda: SimpleNamespace(token=SECRET.encode()),
        lambda: ValueError({"password": SECRET}),
        lambda: ValueError("login failed", {"a": {"api_key": SECRET}}),
        lambda: KeyError(Login("u", SECRET)),
        lambda: {Shown(f"<password={SECRET}>"): 1},
        lambda: Shown(f'{{"password":"{SECRET}"}}'),
        lambda: Shown(json.dumps({"a": json.dumps({"password": SECRET})})),
        lambda: SimpleNamespace(a="x" * 50_000, token=SECRET),
        lambda: inspect.signature(lambda password=SECRET: None),
    ],
    ids=[
        "tuple",
        "pair",
        "headers",
        "headers of ASGI",
        "attribute",
        "key",
        "list",
        "inner",
        "quotes",
        "bytes",
        "exception",
        "exception-deep",
        "exception-object",
        "dict-key",
        "compact-json",
        "json-in-json",
        "long",
        "signature",
    ],
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
        ("<User password=correct horse battery age=3>", "<User password=[redacted] age=3>"),
        ("<User password=correct, horse; battery>", "<User password=[redacted]>"),
        ("[<User authorization=Bearer abc.def>, <User name=x>]", "[<User authorization=[redacted]>, <User name=x>]"),
        ("<User password=a)b, name=x>", "<User password=[redacted], name=x>"),
        ("A(prompt_tokens=312, access_tokens=['x'])", "A(prompt_tokens=312, access_tokens=[redacted]"),
        ("A(token_count=-1.5e3, auth_seconds=None)", "A(token_count=-1.5e3, auth_seconds=None)"),
        ("A(tokens=12ab, n=1)", "A(tokens=[redacted], n=1)"),
        ("A(prompt_tokens=3 secret=x)", "A(prompt_tokens=3 secret=[redacted])"),
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
