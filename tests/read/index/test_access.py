"""The options, the environment and the files that say how to reach a search engine."""

from __future__ import annotations

import argparse
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from console import Run

from obs_middleware.read.errors import ExpressionError, SourceError
from obs_middleware.read.index.access import Access, access_of, add_access

VARIABLES = ("OBS_MIDDLEWARE_USER", "OBS_MIDDLEWARE_PASSWORD", "OBS_MIDDLEWARE_API_KEY")


@pytest.fixture(autouse=True)
def _no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_access(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://logs.example", Access("http", "logs.example", 9200)),
        ("https://logs.example", Access("https", "logs.example", 443)),
        ("https://logs.example:9243/es/", Access("https", "logs.example", 9243, "/es")),
        ("http://[::1]:9200", Access("http", "::1", 9200)),
        ("http://ann:a%3Ab@logs.example", Access("http", "logs.example", 9200, user=("ann", "a:b"))),
    ],
)
def test_a_url_says_where_it_is(url: str, expected: Access) -> None:
    found = access_of(options("--opensearch", url, "--index", "a"))

    assert found == expected
    assert urlsplit(found.url).hostname == expected.host
    assert "ann" not in f"{found.url} {found!r}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--index", "a"], "--index needs a search engine"),
        (["--insecure"], "--insecure needs a search engine"),
        (["--opensearch", "https://a"], "--opensearch needs --index"),
        (["--opensearch", "logs.example:9200", "--index", "a"], "invalid --opensearch"),
        (["--opensearch", "https://ann:secret@a:x", "--index", "a"], "invalid --opensearch"),
        (["--opensearch", "https://a?b=c", "--index", "a"], "invalid --opensearch"),
        (["--opensearch", "http://a", "--index", "a", "--ca-certs", __file__], "--ca-certs needs an https URL"),
        (["--opensearch", "http://a", "--index", "a", "--user", "ann"], "needs a password"),
        (["--opensearch", "http://a", "--index", "a", "--user", "ann:secret"], "invalid --user: give the name only"),
        (["--opensearch", "http://a", "--index", "a", "--user", "ann", "--api-key", "x"], "cannot be combined"),
        (["--opensearch", "http://a", "--index", "a", "--api-key", __file__], "contains no API key"),
        (["--opensearch", "http://a", "--index", "a", "--timeout", "soon"], "invalid --timeout"),
    ],
)
def test_options_that_make_no_sense_are_a_message(arguments: list[str], message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        access_of(options(*arguments))
    assert "secret" not in str(caught.value)


def test_a_file_that_is_missing_is_a_message(tmp_path: Path) -> None:
    for name in ("--api-key", "--ca-certs"):
        with pytest.raises(SourceError, match="No such file"):
            access_of(options("--opensearch", "https://a", "--index", "a", name, str(tmp_path / "missing")))


def test_files_and_a_search_engine_are_a_message(run: Run, tmp_path: Path) -> None:
    code, _, err = run("stats", tmp_path / "a.log", "--opensearch", "http://127.0.0.1:9200", "--index", "a")

    assert (code, err) == (2, "obs-middleware: --opensearch and files cannot be combined: remove one of them\n")
