"""`obs_middleware.logs.config`: the dict for `LOGGING`; one request gives one line in every format."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import os
import subprocess
import sys
from typing import Any

import django
import needs
import pytest
from conftest import Get
from django.core import mail
from django.test import RequestFactory, override_settings
from loglines import written
from nothing_hidden import is_request_line

from obs_middleware import logging_config
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.handlers import LineFileHandler
from obs_middleware.logs.options import StreamName
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
    assert sum(map(is_request_line, text.splitlines())) == 1
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


@pytest.mark.parametrize("name", ["uvicorn.access", "gunicorn.access", "granian.access"])
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


@needs.INOTIFY
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


@needs.FIFO
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
        ({"formatter": "ecs-logging", "schema": "ecs"}, "leave out schema=\\."),
        ({"formatter": "ecs-logging", "format": "logfmt", "max_bytes": 9000}, "leave out format=, max_bytes=\\."),
        ({"formatter": "shop.logs.Form", "processors": [print]}, "leave out processors=\\."),
        ({"formatter": "shop.logs.Form", "service": "shop"}, "cannot pass service on"),
        ({"schema": "ecs", "format": "logfmt"}, "only JSON has a schema. Leave out schema="),
        ({"schema": "gcp", "format": "console"}, 'or use format="json", or format="auto"'),
        ({"max_bytes": 9000, "format": "console"}, "the console shows lines whole"),
        ({"file": "app.log", "stream": "stdout"}, "lines have one output"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_options_that_exclude_each_other_are_refused_with_the_reason(options: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        logging_config(**options)


def chosen_region(_: Any, __: str, event_dict: Any) -> Any:
    return {**event_dict, "region": "north"}


@pytest.mark.parametrize("format_", ["json", "console", "logfmt", "text", "auto"])
@pytest.mark.parametrize("processor", [chosen_region, f"{__name__}.chosen_region"], ids=["function", "path"])
def test_processors_are_an_option_of_every_format(format_: Any, processor: Any, configured: Any) -> None:
    stream = configured(format=format_, processors=[processor])

    logger.info("hello")

    assert ("region" in stream.getvalue()) == (format_ != "text")


@needs.FIFO
@pytest.mark.parametrize("format_", ["json", "logfmt", "text", "auto"])
def test_the_limit_of_a_line_is_an_option(format_: Any, configured: Any, tmp_path: Any) -> None:
    stream = configured(format=format_, max_bytes=3000)

    logger.info("x" * 1000, extra={f"field{number}": "x" * 1000 for number in range(9)})

    assert 2000 < len(stream.getvalue()) <= 3000 or format_ == "text"
    os.mkfifo(tmp_path / "fifo")
    assert logging_config(file=tmp_path / "fifo", max_bytes=9000)["formatters"]["obs"]["max_bytes"] == 9000


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("level", "debug", "DEBUG"),
        ("level", "Warn", "WARN"),
        ("level", 15, 15),
        ("level", "notice of the tests", "notice of the tests"),
        ("loggers", {"noisy": "error"}, "ERROR"),
        ("loggers", {"noisy": {"level": "error", "propagate": False}}, "ERROR"),
    ],
)
def test_a_level_is_taken_in_any_letter_case(option: str, value: Any, expected: Any) -> None:
    logging.addLevelName(25, "notice of the tests")
    options: Any = {option: value}

    config = logging_config(**options)

    assert (config["root"] if option == "level" else config["loggers"]["noisy"])["level"] == expected
    assert logging.Handler(expected).level  # the logging module knows it


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"level": "debg"}, r"logging_config\(level='debg'\): expected debug, info"),
        ({"level": None}, "expected debug, info"),
        ({"level": True}, "expected debug, info"),
        ({"loggers": {"noisy": "eror"}}, r"loggers={'noisy': 'eror'}\): expected debug, info"),
        ({"max_bytes": 100}, r"logging_config\(max_bytes=100\): expected a number from 2048 on"),
        ({"max_bytes": "9000"}, "max_bytes='9000'"),
        ({"processors": "shop.logs.add_region"}, "expected a list of functions or their dotted paths"),
        ({"processors": print}, "expected a list of functions"),
        ({"processors": ["add_region"]}, "expected a list of functions"),
        ({"loggers": ["httpx"]}, r"loggers=\['httpx'\]\): expected a dict of levels"),
        ({"file": 7}, r"file=7\): expected a path"),
        ({"formatter": logging.Formatter}, "expected the path of a class, such as"),
        ({"quiet_tests": "no"}, r"quiet_tests='no'\): expected one of True, False"),
        ({"nonblocking": "yes"}, r"nonblocking='yes'\): expected one of True, False"),
    ],
    ids=repr,
)
def test_a_wrong_value_is_refused_with_the_right_ones(options: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        logging_config(**options)


@pytest.mark.parametrize("option", ["schema", "format", "stream"])
def test_a_word_that_does_not_exist_is_refused_with_those_that_do(option: str) -> None:
    with pytest.raises(ValueError, match=rf"logging_config\({option}='nonsense'\): expected one of "):
        logging_config(**{option: "nonsense"})  # type: ignore[arg-type]  # the mistake under test


@needs.NOT_WINDOWS
@pytest.mark.parametrize("stream", ["stdout", "stderr", None])
def test_auto_is_the_console_on_a_terminal_and_json_elsewhere(
    stream: StreamName | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def formatter(**options: Any) -> Any:
        own = [lambda _, __, event: {**event, "own": 7}]
        form = logging_config(format="auto", processors=own, **options)["formatters"]["obs"]
        return logging.config.DictConfigurator({}).configure_formatter(form)

    record = logging.makeLogRecord({"msg": "x", "levelname": "INFO", "levelno": 20})
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.StringIO())
    assert parse_line(formatter(schema="ecs", service="shop", stream=stream).format(record))["service"] == {
        "name": "shop"
    }

    monkeypatch.setattr(getattr(sys, stream or "stderr"), "isatty", lambda: True)  # stderr under pytest
    assert "own=\x1b[0m7" in formatter(schema="ecs", service="shop", stream=stream).format(record)
    assert isinstance(formatter(file="app.log"), JSONFormatter)

    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)  # pythonw
    assert isinstance(formatter(stream=stream), JSONFormatter)


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
    assert loggers["uvicorn.access"] == {"level": "INFO", "propagate": True}
