"""The sentence for each group: what it claims, and what it leaves open."""

from __future__ import annotations

from obs_middleware.read.bands import PLACES, Band, Bands, Place, Places
from obs_middleware.read.findings import finding, gaps_of, name_of, telling_first
from obs_middleware.read.kinds import REQUEST
from obs_middleware.read.why import Part, Reason

NOTHING = {name: Places() for name in PLACES}
OUTGOING = Part("outgoing calls", "http_seconds", 0.3, 0.3, 0.0, n=20)
REST = Part("the rest", None, 0.5, 0.1, 1.0)


def reason(*parts: Part, n: int = 20, compared: bool = True, waited: float = 0.0, **places: Places) -> Reason:
    slow, ordinary = (
        sum(seconds or 0 for seconds in one)
        for one in ([part.slow for part in parts], [part.ordinary for part in parts])
    )
    known = {"db_seconds": n, "http_seconds": n}
    bands = Bands(Band(n, slow, {"queue_seconds": waited}, known), Band(5 * n, ordinary))
    return Reason(("GET", "search/"), 10 * n, bands, parts, compared, places=NOTHING | places)


def test_a_large_part_of_all_requests_is_named_beside_what_makes_some_of_them_slow() -> None:
    assert finding(reason(OUTGOING, REST)) == (
        "100% of the time above p50 is in none of the measured parts; 64% of the time of 120 requests is outgoing calls"
    )


def test_a_second_part_is_named_if_it_is_large() -> None:
    parts = Part("database", "db_seconds", 0.2, 0.0, 0.7), Part("bank", "bank_seconds", 0.1, 0.01, 0.3)

    assert finding(reason(*parts)) == "70% of the time above p50 is database, 30% bank"


def test_nearly_all_never_looks_like_all() -> None:
    assert finding(reason(Part("database", "db_seconds", 0.2, 0.0, 0.999))).startswith(">99% of the time above p50")


def test_a_difference_that_may_be_chance_is_not_claimed() -> None:
    part = Part("database", "db_seconds", 0.2, 0.1, 1.0, chance=True)

    assert finding(reason(part, n=2)) == "only 2 slow requests to compare: 100% of the time of 12 requests is database"


def test_one_request_alone_is_not_compared() -> None:
    part = Part("bank", "bank_seconds", 0.2, None)
    bands = Bands(Band(1, 0.2), Band(0, 0.0))

    found = finding(Reason(("GET", "search/"), 1, bands, (part,), compared=False, places=NOTHING))

    assert found == "only 1 slow request to compare: 100% of the time of 1 request is bank"


def test_waiting_is_told_beside_the_parts() -> None:
    found = finding(reason(REST, compared=False, waited=0.4), "task")

    assert found == (
        "slow tasks are like ordinary ones: 100% of the time of 120 tasks is in none of the measured parts; "
        "slow tasks waited 400 ms before they began"
    )


def test_a_group_without_any_time_has_no_finding() -> None:
    assert finding(reason(Part("the rest", None, 0.0, 0.0), compared=False)) == ""


def test_durations_whose_sum_is_no_number_give_no_share() -> None:
    assert finding(reason(Part("the rest", None, 1e308, 1e308), compared=False)) == ""


def test_a_place_without_a_sound_figure_is_not_claimed() -> None:
    no_figure = Places((Place("shop/views.py:60 in cart", 7),))
    too_many = Places((Place("shop/views.py:60 in cart", 7, 50.0, 50.0, 3.0),))
    rest = Part("the rest", None, 0.0, 0.0)

    assert finding(reason(rest, db_repeated_at=no_figure, blocked_at=no_figure)) == ""
    assert finding(reason(rest, db_repeated_at=too_many)) == (
        "50 queries are one statement, run at shop/views.py:60 in cart"
    )


def test_a_request_that_blocks_the_loop_makes_others_wait() -> None:
    blocked = Places((Place("shop/views.py:60 in draw_invoice", 7, 0.1, 0.2),), elsewhere=2)

    assert list(gaps_of([reason(REST, blocked_at=blocked)], REQUEST)) == [
        "9 requests blocked an event loop: others waited meanwhile, and that time is in the rest of theirs",
        "2 lines with blocked_at at other places",
    ]


def test_the_root_and_an_unknown_route_have_a_name() -> None:
    assert (name_of(("GET", "")), name_of(("GET", None))) == ('GET ""', "GET -")


def test_groups_with_a_place_come_first_and_those_that_tell_nothing_are_apart() -> None:
    place = Places((Place("shop/views.py:60 in draw_invoice", 7, 0.1, 0.2),))
    by_chance = reason(Part("the rest", None, 0.5, 0.1, 1.0, chance=True), n=2)
    alike, waiting = reason(REST, compared=False), reason(REST, compared=False, waited=0.4)
    sure, part, named = reason(REST), reason(OUTGOING, REST, compared=False), reason(REST, blocked_at=place)
    empty = reason(Part("the rest", None, 0.0, 0.0), compared=False)

    telling, silent = telling_first([by_chance, alike, waiting, sure, part, named, empty])

    assert telling == [named, waiting, sure, part]
    assert silent == [by_chance, alike, empty]
