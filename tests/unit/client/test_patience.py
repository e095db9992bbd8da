"""Delays and their end, without time."""

from __future__ import annotations

from daemons.client.patience import FIRST_DELAY_S, LONGEST_DELAY_S, Patience


def delays(patience, now_s=0.0):
    found = []
    while (delay := patience.delay_s(now_s)) is not None:
        found.append(delay)
        now_s += delay
    return found, now_s


def test_delays_double_up_to_the_longest_and_end_within_the_patience():
    found, ended_s = delays(Patience(60.0, 0.0))
    assert found[:3] == [FIRST_DELAY_S, 2 * FIRST_DELAY_S, 4 * FIRST_DELAY_S]
    assert max(found) == LONGEST_DELAY_S
    assert 60.0 - LONGEST_DELAY_S <= ended_s <= 60.0


def test_without_patience_nothing_is_tried_again():
    assert delays(Patience(0.0, 5.0), 5.0) == ([], 5.0)


def test_what_the_server_asks_for_is_waited_for_if_there_is_patience_for_it():
    patience = Patience(10.0, 0.0)
    assert patience.delay_s(0.0, at_least_s=7.0) == 7.0
    assert patience.delay_s(7.0, at_least_s=7.0) is None


def test_a_success_renews_it():
    patience = Patience(10.0, 0.0)
    first, now_s = delays(patience)
    patience.renew(now_s)
    again, _ = delays(patience, now_s)
    assert again == first
