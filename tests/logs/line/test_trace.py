"""`obs_middleware.logs.line.trace`: what a trace keeps if it is too long."""

from __future__ import annotations

import io
import logging
import sys
import traceback
from collections.abc import Callable

import pytest
from conftest import Site
from django.http import HttpRequest, HttpResponse

from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.line.limits import MAX_TRACE_BYTES_PIPE
from obs_middleware.logs.line.trace import byte_count, cut_trace
from obs_middleware.testing import parse_line

TRACE = "Traceback (most recent call last):\n" + "".join(
    f'  File "shop/views.py", line {number}, in step_{number}\n    return step(number)\n           ^^^^\n'
    for number in range(400)
)
LIBRARY = "/srv/venv/lib/python3.12/site-packages/client/api.py"


class PaymentFailed(Exception):
    pass


def frames(file: str, name: str, number: int) -> str:
    return "".join(f'  File "{file}", line {n}, in {name}_{n}\n    return {name}(n)\n' for n in range(number))


def layers(number: int, bottom: Callable[[], object]) -> object:
    """Call *bottom* below *number* frames of the application, of two lines of code, so that Python shows each."""
    if number % 2:
        return layers(number - 1, bottom)
    return layers(number - 1, bottom) if number else bottom()


def ask_bank() -> None:
    raise TimeoutError("bank7 did not answer in 3 s")


def chained(depth: int = 2, *, cause: bool = True, height: int = 80) -> Exception:
    """Return an exception at the end of a chain of *depth*, each below *height* frames."""

    def fail(number: int) -> None:
        try:
            layers(height, ask_bank if number == 1 else lambda: fail(number - 1))
        except Exception as error:
            if cause:
                raise PaymentFailed(f"order {number} is not paid") from error
            raise PaymentFailed(f"order {number} is not paid")  # noqa: B904 -- the context is under test

    try:
        fail(depth - 1)
    except PaymentFailed as error:
        return error
    raise AssertionError


def text_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip("\n")


def test_a_trace_keeps_its_head_and_its_last_frames() -> None:
    short = cut_trace(TRACE + "ValueError: no good", 2_000)

    assert byte_count(short) <= 2_000
    assert short.startswith('Traceback (most recent call last):\n  File "shop/views.py", line 0,')
    assert "in step_399\n    return step(number)\n           ^^^^\nValueError: no good" in short
    assert " lines cut ...\n" in short


@pytest.mark.parametrize(
    "text", ["é" * 10_000, "漢\n" * 10_000, "\n" * 10_000, TRACE + "ValueError: " + "漢字\n" * 10_000]
)
@pytest.mark.parametrize("limit", [600, 2_000, 8_000])
def test_a_trace_of_any_form_is_within_its_limit(text: str, limit: int) -> None:
    short = cut_trace(text, limit)

    assert byte_count(short) <= limit
    if "ValueError" in text:
        assert "in step_399" in short
        assert "ValueError: 漢字" in short


def test_a_line_of_a_trace_that_is_itself_long_does_not_push_out_the_rest() -> None:
    short = cut_trace(f'Traceback:\n  File "a", line 1, in f\n    {"x" * 50_000}\n{TRACE}KeyError: 1', 2_000)

    assert short.startswith('Traceback:\n  File "a", line 1, in f\n')
    assert short.endswith("KeyError: 1")


def test_a_trace_in_the_middle_of_nowhere() -> None:
    assert cut_trace('  File "a", line 1', 2_000) == '  File "a", line 1'
    assert cut_trace("x" * 3_000 + '\n  File "a", line 1', 2_000).endswith('  File "a", line 1')


# Chains


@pytest.mark.parametrize("limit", [600, 2_000, 8_000])
@pytest.mark.parametrize("cause", [True, False])
def test_every_exception_of_a_chain_keeps_its_type_its_message_and_its_nearest_frame(cause: bool, limit: int) -> None:
    short = cut_trace(text_of(chained(cause=cause)), limit)

    assert byte_count(short) <= limit
    assert "in ask_bank\n" in short
    assert "\nTimeoutError: bank7 did not answer in 3 s\n" in short
    assert "in fail\n" in short
    assert short.endswith("PaymentFailed: order 1 is not paid")
    assert ("direct cause" in short) is cause
    assert " lines cut ...\n" in short


def test_a_cause_that_was_never_raised_stays() -> None:
    try:
        layers(60, lambda: (_ for _ in ()).throw(PaymentFailed("not paid")))
    except PaymentFailed as error:
        error.__cause__ = TimeoutError("bank7")
        text = text_of(error)

    short = cut_trace(text, 1_000)

    assert short.startswith("TimeoutError: bank7\n\nThe above exception was the direct cause")
    assert short.endswith("PaymentFailed: not paid")


def test_every_exception_of_a_group_stays() -> None:
    group = ExceptionGroup("two failures", [chained(), chained()])

    short = cut_trace(text_of(group), 4_000)

    assert byte_count(short) <= 4_000
    assert short.count("TimeoutError: bank7 did not answer in 3 s") == 2
    assert short.count("PaymentFailed: order 1 is not paid") == 2
    assert short.count("in ask_bank\n") == 2
    assert "two failures (2 sub-exceptions)" in short
    assert "---------------- 2 ----------------" in short


def test_of_a_chain_that_is_too_long_the_first_and_the_last_stay() -> None:
    short = cut_trace(text_of(chained(40, height=4)), 2_000)

    assert byte_count(short) <= 2_000
    assert "TimeoutError: bank7 did not answer in 3 s" in short
    assert "\n... 34 exceptions cut ...\n" in short
    assert "PaymentFailed: order 38 is not paid" in short
    assert short.endswith("PaymentFailed: order 39 is not paid")


def test_long_messages_are_cut_and_short_ones_stay() -> None:
    text = text_of(chained()).replace("bank7 did not", "bank7 " + "é" * 100_000)

    short = cut_trace(text, 2_000)

    assert byte_count(short) <= 2_000
    assert "TimeoutError: bank7 éé" in short
    assert "in ask_bank\n" in short
    assert short.endswith("PaymentFailed: order 1 is not paid")


# Frames


def test_frames_of_libraries_go_before_frames_of_the_application() -> None:
    text = f"Traceback:\n{frames('/srv/shop/views.py', 'shop', 10)}{frames(LIBRARY, 'client', 40)}OSError: no"

    short = cut_trace(text, 2_000)

    assert all(f"in shop_{number}\n" in short for number in range(10))
    assert "in client_39\n" in short
    assert "in client_20\n" not in short


def test_without_room_for_more_the_nearest_frame_of_the_application_stays() -> None:
    text = f"Traceback:\n{frames('/srv/shop/views.py', 'shop', 40)}{frames(LIBRARY, 'client', 40)}OSError: no"

    assert "in shop_39\n" in cut_trace(text, 300)


@pytest.mark.parametrize(
    "file",
    [
        LIBRARY,
        "/usr/lib/python3/dist-packages/client.py",
        r"C:\\shop\\Lib\\site-packages\\client.py",
        logging.__file__,
        "<frozen runpy>",
        sys.modules["obs_middleware"].__file__,
    ],
)
def test_files_of_python_and_of_packages_are_libraries(file: str) -> None:
    text = f"Traceback:\n{frames('/srv/shop/views.py', 'shop', 1)}{frames(file, 'client', 40)}OSError: no"

    assert "in shop_0\n" in cut_trace(text, 600)


def test_a_trace_that_was_cut_before_counts_all_lines() -> None:
    once = cut_trace(TRACE + "ValueError: no good", 2_000)

    twice = cut_trace(once, 600)

    marked = [line for line in twice.splitlines() if "lines cut" in line]
    frame_lines = sum(line.startswith(("  File", "    ")) for line in twice.splitlines())
    assert sum(int(line.split()[1]) for line in marked) + frame_lines == 1_200


def test_a_stack_without_an_exception_keeps_its_last_frames() -> None:
    short = cut_trace("Stack (most recent call last):\n" + frames("/srv/shop/views.py", "shop", 100).rstrip(), 600)

    assert short.startswith("Stack (most recent call last):\n")
    assert short.endswith("in shop_99\n    return shop(n)")


# The line


def test_the_line_of_a_failed_request_names_the_cause_also_in_a_pipe(site: Site) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter(max_bytes=4_096))
    logging.getLogger().addHandler(handler)

    def view(request: HttpRequest) -> HttpResponse:
        raise chained()

    site.get(view)

    (trace,) = (
        line["stack_trace"] for line in map(parse_line, stream.getvalue().splitlines()) if line.get("status") == 500
    )
    assert len(trace) <= MAX_TRACE_BYTES_PIPE
    assert all(part in trace for part in ("PaymentFailed: order 1", "TimeoutError: bank7", "in ask_bank", "in view"))
