"""`obs_middleware.logs.line.structlog_call`: the one processor does the same as the five of structlog."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import structlog

from obs_middleware import structlog_config
from obs_middleware.testing import CapturedRequests

FIVE = [
    structlog.stdlib.filter_by_level,
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.StackInfoRenderer(),
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


def log_all(logger: Any) -> None:
    """Log in each way that structlog has."""
    logger.debug("left out")
    logger.info("Paid %d of %s", 1250, "cents", order=7)
    logger.warning("Paid %(cents)d", {"cents": 1250})
    logger.error("100 %", shard=4)
    logger.bind(cart="C-1").critical("with %s", "cart")
    logger.log(logging.WARNING, "by its level")
    try:
        raise ValueError("7")
    except ValueError:
        logger.exception("failed")


@pytest.fixture(name="kept")
def _kept(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "site.structlog")
    return caplog


def records_of(kept: pytest.LogCaptureFixture, processors: list[Any]) -> list[tuple[Any, ...]]:
    """Return what is on the records that a chain makes."""
    structlog.configure(**{**structlog_config(), "processors": processors, "cache_logger_on_first_use": False})
    kept.clear()
    with structlog.contextvars.bound_contextvars(shard=3):
        log_all(structlog.get_logger("site.structlog"))
    return [
        (record.msg, record.levelname, record.args, record.lineno, record.funcName, record._name)  # type: ignore[attr-defined]
        for record in kept.records
    ]


def test_its_records_are_those_of_the_processors_of_structlog(kept: pytest.LogCaptureFixture) -> None:
    records = records_of(kept, structlog_config()["processors"])

    assert records == records_of(kept, FIVE)
    assert [record[0]["event"] for record in records][:3] == ["Paid 1250 of cents", "Paid 1250", "100 %"]


def test_a_level_that_is_off_costs_no_other_processor(kept: pytest.LogCaptureFixture) -> None:
    structlog.configure(**structlog_config())
    logging.disable(logging.WARNING)
    try:
        structlog.get_logger("site.structlog").warning("%d", "not formatted")
    finally:
        logging.disable(logging.NOTSET)

    assert not kept.records


def test_the_stack_ends_at_the_call(lines: CapturedRequests) -> None:
    structlog.configure(**structlog_config())

    structlog.get_logger("site").warning("x", stack_info=True)

    (line,) = lines.logs
    assert line["stack_info"].splitlines()[-1].strip().startswith("structlog.get_logger")


def test_a_processor_of_the_application_comes_before_it(lines: CapturedRequests) -> None:
    def add_region(_: Any, __: str, event_dict: Any) -> Any:
        return {**event_dict, "region": "eu"}

    config = structlog_config()
    structlog.configure(**{**config, "processors": [add_region, *config["processors"]]})

    structlog.get_logger("site").warning("x")

    (line,) = lines.logs
    assert line["region"] == "eu"
