"""`obs_middleware.measure.statements`: the shape of a statement, and how often it ran."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
from django.utils.safestring import SafeString
from hypothesis import given
from hypothesis import strategies as st
from steps import peak_bytes

from obs_middleware.measure import statements
from obs_middleware.measure.event import Event
from obs_middleware.measure.statements import LONGEST, MOST, Statements, shape_of, statements_of


def counted(*texts: str, limit: int = 10, alias: str = "default") -> Statements:
    found = Statements(limit)
    for text in texts:
        found.count(text, alias)
    return found


def values(number: int) -> str:
    return ", ".join(["%s"] * number)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('SELECT "id" FROM "t" WHERE "id" = 5', 'SELECT "id" FROM "t" WHERE "id" = 77'),
        ("SELECT id FROM t WHERE name = 'a'", "SELECT id FROM t WHERE name = 'it''s, \"b\" (1)'"),
        ("SELECT id FROM t WHERE price = 1.5", "SELECT id FROM t WHERE price = -22"),
        (f'SELECT * FROM "t" WHERE "id" IN ({values(2)})', f'SELECT * FROM "t" WHERE "id" IN ({values(30)})'),
        ("SELECT * FROM t WHERE id IN (1, 2)", "SELECT * FROM t WHERE id IN (1,2,3,4)"),
        ("SELECT * FROM t WHERE id IN ('a','b')", "SELECT * FROM t WHERE id IN ('c')"),
        (f"INSERT INTO t VALUES ({values(2)})", f"INSERT INTO t VALUES ({values(2)}), ({values(2)}), ({values(2)})"),
        ("SELECT 1 -- request 7", "SELECT 1 -- request 8"),
        ("SELECT %s", "SELECT ?"),
        (
            f"SELECT * FROM t WHERE id IN ({values(900)}) ORDER BY x",
            f"SELECT * FROM t WHERE id IN ({values(901)}) ORDER BY x",
        ),
        (f"SELECT * FROM t WHERE id IN ({'7, ' * 900}7)", f"SELECT * FROM t WHERE id IN ({'12345, ' * 1001}7)"),
    ],
    ids=lambda text: text[:40],
)
def test_statements_that_differ_in_their_values_have_one_shape(one: str, other: str) -> None:
    assert shape_of(one) == shape_of(other) != 0


def test_the_cut_in_a_long_list_may_be_anywhere() -> None:
    shapes = {
        shape_of(f"SELECT * FROM t WHERE a = {'7' * before} AND id IN ({values(900)}) LIMIT {'7' * after}")
        for before in range(1, 6)
        for after in range(1, 6)
    }

    assert len(shapes) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('SELECT "id" FROM "t" WHERE "a" = 5', 'SELECT "id" FROM "t" WHERE "b" = 5'),
        ('SELECT "address1" FROM "t"', 'SELECT "address2" FROM "t"'),  # a name, not a value
        ("SELECT `address1` FROM `t`", "SELECT `address2` FROM `t`"),  # the same on MySQL
        ('SELECT "id" FROM "t"', 'SELECT "id" FROM "t" WHERE "id" = 1'),
        ("SELECT a FROM t", "SELECT a FROM t FOR UPDATE"),
        (f"SELECT {'a, ' * 900}b FROM t WHERE x = 1", f"SELECT {'a, ' * 900}b FROM t WHERE y = 1"),
    ],
    ids=lambda text: text[:40],
)
def test_other_statements_have_another_shape(one: str, other: str) -> None:
    assert shape_of(one) != shape_of(other)


@pytest.mark.parametrize(
    "sql",
    [
        'SAVEPOINT "s1_x1"',
        'RELEASE SAVEPOINT "s1_x1"',
        'ROLLBACK TO SAVEPOINT "s1"',
        "BEGIN",
        "begin",
        " COMMIT",
        b"SELECT 1",
        7,
        None,
    ],
    ids=repr,
)
def test_transactions_and_what_is_no_text_are_not_counted(sql: Any) -> None:
    assert shape_of(sql) == 0
    assert counted(sql, sql).fields() == {}


def test_a_text_of_another_class_is_a_text() -> None:
    assert shape_of(SafeString("SELECT 1")) == shape_of("SELECT 1")


@given(st.text())
def test_every_text_has_a_shape(sql: str) -> None:
    assert shape_of(sql) == shape_of(f"{sql}")
    assert isinstance(shape_of("\ud800" + sql), int)


def test_the_most_repeated_statement_is_reported() -> None:
    a, b, c = "SELECT a", "SELECT b", "SELECT c"

    assert counted(a, b, c, b, a, b).fields() == {"db_repeats": 3}
    assert counted(a, b, c).fields() == {}
    assert counted().fields() == {}


def test_the_place_is_that_of_the_most_repeated_statement() -> None:
    found = Statements(10)

    def often() -> None:
        for _ in range(20):
            found.count("SELECT often", "default")

    def first() -> None:
        for _ in range(12):
            found.count("SELECT first", "default")

    first()
    often()
    fields = found.fields()

    assert fields["db_repeats"] == 20
    assert fields["db_repeated_at"].endswith("<locals>.often")


def test_the_stack_is_walked_once_for_a_statement_and_ten_times_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    walks = []

    def place_of(frames: Any) -> str | None:
        walks.append(next(iter(frames)))
        return None if len(walks) % 2 else "here"

    monkeypatch.setattr(statements, "place_of", place_of)
    counted(*["SELECT x"] * 100)
    assert len(walks) == 2  # the first had no place
    counted(*[f"SELECT x{chr(97 + number)}" for number in range(20)] * 100)
    assert len(walks) == 12


def test_another_alias_is_another_statement() -> None:
    found = counted("SELECT a", "SELECT a")
    for _ in range(3):
        found.count("SELECT a", "other")

    assert found.fields() == {"db_repeats": 3}


def letters(number: int) -> str:
    """Return a name without digits."""
    return "".join(chr(97 + int(digit)) for digit in str(number))


def test_memory_is_bounded_and_the_most_repeated_statement_is_kept() -> None:
    found = counted("SELECT again", "SELECT again")

    def flood() -> None:
        for number in range(100_000):
            found.count(f"SELECT {letters(number)}", "default")
            if number % 1_000 == 0:
                found.count("SELECT again", "default")

    assert peak_bytes(flood) < 4_000_000
    assert len(found._counters) <= MOST
    assert len(statements._shapes) <= MOST
    assert found.fields()["db_repeats"] == 102


def test_statements_that_all_ran_equally_often_are_forgotten_together() -> None:
    """Then the figure is a lower bound."""
    found = counted(*[f"SELECT {letters(number)}" for number in range(MOST + 1)] * 2)

    assert len(found._counters) <= MOST
    assert found.fields() in ({}, {"db_repeats": 2})


def test_a_text_of_megabytes_is_cut_before_the_work() -> None:
    """Also its hash would take milliseconds."""
    sql = f"INSERT INTO t VALUES {', '.join(['(%s, %s)'] * 500_000)}"

    assert peak_bytes(lambda: shape_of(sql)) < 20 * LONGEST
    assert counted(sql, sql[:-10] + ")").fields() == {"db_repeats": 2}


def test_no_text_is_kept() -> None:
    found = counted(*["SELECT hunter2 FROM t"] * 20)

    kept = [statements._shapes, found._counters, found._walks, found._limit]
    assert "hunter2" not in str(kept)
    assert "SELECT" not in str([kept, found._places])


def test_threads_of_one_request_count_every_statement() -> None:
    event = Event(0.0, "the-id")
    barrier = threading.Barrier(8)
    interval = sys.getswitchinterval()

    def work() -> None:
        barrier.wait()
        for _ in range(1_000):
            statements_of(event, 10).count("SELECT 1", "default")

    threads = [threading.Thread(target=work) for _ in range(8)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)

    assert event.statements is not None
    assert event.statements.fields()["db_repeats"] == 8_000
