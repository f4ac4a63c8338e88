"""`obs_middleware.logs.config`: the dict for `LOGGING`; one request gives one line in every format."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import subprocess
import sys
from typing import Any

import django
import pytest
from conftest import Get
from django.core import mail
from django.test import RequestFactory, override_settings
from loglines import written

from obs_middleware import logging_config
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.handlers import LineFileHandler
from obs_middleware.measure.vocabulary import FIELDS
from obs_middleware.testing import parse_line

logger = logging.getLogger("site")
WITHOUT_SETTINGS = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}


@pytest.mark.parametrize("format_", ["json", "console", "logfmt", "text"])
@pytest.mark.parametrize("url", ["/ok/", "/nowhere/", "/fail/", "/fail/403/", "/redirect/", "/unavailable/"])
def test_a_request_is_one_line_in_each_format_that_prints_fields(
    configured: Any, get: Get, format_: str, url: str
) -> None:
    stream = configured(format=format_)

    get(url)

    text = stream.getvalue()
    assert text.count("Request took") == 1
    assert text.endswith("\n")
    if url == "/fail/":
        assert text.count("ValueError: no good") == 1
    if format_ == "text":
        # It prints neither status nor path, so Django's own record goes out as well.
        assert text.count("django.request") == (url not in {"/ok/", "/redirect/"})
    elif url != "/fail/" or format_ == "logfmt":
        assert len(written(stream)) == 1


def test_the_json_line_is_strict_and_in_order(configured: Any, get: Get) -> None:
    stream = configured(service="shop", version="1.2", environment="test")

    get("/ok/")

    line = parse_line(stream.getvalue())
    assert list(line)[:5] == ["timestamp", "level", "logger", "message", "event_id"]
    assert (line["service"], line["version"], line["environment"]) == ("shop", "1.2", "test")
    assert set(line) <= set(FIELDS)


def test_mail_to_the_administrators_goes_out(configured: Any, get: Get) -> None:
    configured()
    address = "admin@example.com"
    # Django 6.0 deprecated the pairs that 5.2 asks for.
    with override_settings(ADMINS=[address] if django.VERSION >= (6, 0) else [("Admin", address)]):
        get("/fail/")

    (message,) = mail.outbox
    assert message.subject.endswith("Internal Server Error: /fail/")


def test_a_django_record_without_our_request_passes(configured: Any) -> None:
    """A query string that is not UTF-8, for example, never reaches the middleware: its record must not be lost."""
    stream = configured()

    logging.getLogger("django.request").warning("Bad Request", extra={"status_code": 400})
    logging.getLogger("django.request").warning("Not ours", extra={"request": RequestFactory().get("/?token=secret")})

    assert [parse_line(line)["message"] for line in written(stream)] == ["Bad Request", "Not ours"]
    assert "secret" not in stream.getvalue()


@pytest.mark.parametrize(
    "name", ["django.server", "django.channels.server", "uvicorn.access", "gunicorn.access", "granian.access"]
)
def test_access_logs_of_servers_are_silent(configured: Any, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    stream = configured()
    logging.getLogger(name).warning("GET / 404")

    assert stream.getvalue() == ""
    assert capsys.readouterr().err == ""


def test_access_logs_can_be_left_as_they_are() -> None:
    assert "uvicorn.access" not in logging_config(quiet_servers=False)["loggers"]


def test_further_loggers_are_added() -> None:
    config = logging_config(loggers={"noisy": "ERROR", "own": {"level": "DEBUG", "propagate": False}})

    assert config["loggers"]["noisy"] == {"level": "ERROR"}
    assert config["loggers"]["own"] == {"level": "DEBUG", "propagate": False}


def test_a_file_is_appended_to_and_opened_again_after_rotation(configured: Any, tmp_path: Any) -> None:
    path = tmp_path / "app.json"
    logging.config.dictConfig(logging_config(file=path))
    (handler,) = [h for h in logging.getLogger().handlers if isinstance(h, LineFileHandler)]

    logger.info("one")
    path.rename(tmp_path / "app.json.1")
    logger.info("two")
    handler.close()

    assert parse_line((tmp_path / "app.json.1").read_text())["message"] == "one"
    assert parse_line(path.read_text())["message"] == "two"


def test_a_line_into_a_fifo_is_as_short_as_into_a_pipe(tmp_path: Any) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    assert logging_config(file=fifo)["formatters"]["obs"]["max_bytes"] == 4_096
    assert "max_bytes" not in logging_config(file=fifo, format="console")["formatters"]["obs"]
    assert "max_bytes" not in logging_config(file=tmp_path / "file")["formatters"]["obs"]


@pytest.mark.parametrize("formatter", ["python-json-logger", "ecs-logging", "pythonjsonlogger.json.JsonFormatter"])
def test_a_formatter_of_another_package_gives_one_line_with_our_fields(
    configured: Any, get: Get, formatter: str
) -> None:
    is_named = "." not in formatter
    stream = configured(formatter=formatter, **({"service": "shop", "version": "1.2"} if is_named else {}))
    address = "admin@example.com"
    with override_settings(ADMINS=[address] if django.VERSION >= (6, 0) else [("Admin", address)]):
        get("/fail/")

    (line,) = map(json.loads, written(stream))
    assert (line["status"], line["outcome"], line["message"][:12]) == (500, "error", "Request took")
    assert ("ValueError" in str(line), "no good" in str(line)) == (True, True)
    if is_named:
        assert ("shop" in str(line), "1.2" in str(line), "ERROR" in str(line).upper()) == (True, True, True)
    assert len(mail.outbox) == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"formatter": "python-json-loger"}, "expected one of python-json-logger, ecs-logging, or the dotted path"),
        ({"formatter": "ecs-logging", "schema": "ecs"}, "leave out format= and schema="),
        ({"formatter": "ecs-logging", "format": "logfmt"}, "leave out format= and schema="),
        ({"formatter": "shop.logs.Form", "service": "shop"}, "cannot pass service on"),
    ],
)
def test_a_formatter_with_options_that_it_ignores_is_refused(options: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        logging_config(**options)


@pytest.mark.parametrize("option", ["schema", "format", "stream"])
def test_a_word_that_does_not_exist_is_refused_with_those_that_do(option: str) -> None:
    with pytest.raises(ValueError, match=rf"logging_config\({option}='nonsense'\): expected one of "):
        logging_config(**{option: "nonsense"})  # type: ignore[arg-type]  # the mistake under test


def test_the_formatter_refuses_an_unknown_schema() -> None:
    with pytest.raises(ValueError, match="expected"):
        JSONFormatter(schema="nonsense")  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize("format_", ["json", "console", "logfmt", "text"])
def test_the_dict_is_accepted_in_a_process_without_django_settings(format_: str) -> None:
    code = (
        "import logging, logging.config\nfrom obs_middleware import logging_config\n"
        f"logging.config.dictConfig(logging_config(format={format_!r}))\nlogging.info('hello')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=WITHOUT_SETTINGS
    )

    assert "hello" in result.stdout
    assert result.stderr == ""


def test_importing_us_reads_no_settings_and_configures_nothing() -> None:
    code = (
        "import logging\nfrom obs_middleware import logging_config\nlogging_config()\n"
        "from django.conf import settings\nassert not settings.configured\nassert not logging.getLogger().handlers"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60, env=WITHOUT_SETTINGS)


def test_a_level_alone_leaves_django_its_mail() -> None:
    loggers = logging_config(loggers={"django": "WARNING", "uvicorn.access": "INFO"})["loggers"]

    assert loggers["django"] == {"handlers": ["mail_admins"], "level": "WARNING", "propagate": True}
    assert loggers["uvicorn.access"] == {"level": "INFO"}
