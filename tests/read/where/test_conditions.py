"""Conditions as a tree."""

from __future__ import annotations

from obs_middleware.read.where.conditions import Compared, Every, Missing, Not, Some, fields_of


def test_the_fields_of_a_condition_are_those_of_all_its_parts() -> None:
    condition = Every((Some((Compared("a", "=", 1.0), Not(Missing("b")))), Compared("c", "~", "x")))

    assert fields_of(condition) == {"a", "b", "c"}
    assert fields_of(Every()) == set()
