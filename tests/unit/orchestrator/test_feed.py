"""The ring of the newest events, and listeners on their way round it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from daemons.core.events import Event, EventFilter, Position
from daemons.orchestrator import feed
from daemons.orchestrator.feed import Listener, Ring, block_of

EPOCHS = ("0" * 12, "1" * 12)


def event(seq, epoch=EPOCHS[0], kind="job"):
    return Event(type=kind, seq=seq, epoch=epoch, at=None, state={"campaign_id": "campaign-1", "text": "ä\n\nb"})


def heard_in(text):
    """What a listener makes of what it is sent."""
    blocks = [
        dict(line.split(": ", 1) for line in block.splitlines()) for block in text.decode().split("\n\n") if block
    ]
    return [json.loads(block["data"]) for block in blocks if "data" in block]


def all_of(listener):
    found = []
    while listener.is_behind:
        found += heard_in(listener.take())
    return found


def test_an_event_is_three_lines_whatever_it_holds():
    text = block_of(event(7)).text.decode()
    assert text.count("\n") == 4
    assert text.startswith(f"event: job\nid: {EPOCHS[0]}-7\ndata: {{")
    assert heard_in(text.encode())[0]["state"]["text"] == "ä\n\nb"


def test_what_is_filtered_out_moves_the_place_all_the_same():
    ring = Ring(Position(EPOCHS[0], 0))
    listener = Listener(ring, EventFilter(frozenset({"worker"})), ring.newest)
    ring.add(event(1))
    assert listener.take() == b""
    assert f"id: {EPOCHS[0]}-1".encode() in listener.sign()


def test_who_comes_back_goes_on_in_the_ring_if_the_next_one_is_there(monkeypatch):
    monkeypatch.setattr(feed, "MOST_HELD", 8)
    ring = Ring(Position(EPOCHS[0], 0))
    for seq in range(1, 12):
        ring.add(event(seq))
    known = Listener(ring, EventFilter(), Position(EPOCHS[0], 9))
    assert known.enter()
    assert [one["seq"] for one in all_of(known)] == [10, 11]
    assert not Listener(ring, EventFilter(), Position(EPOCHS[0], 1)).enter()
    assert not Listener(ring, EventFilter(), Position(EPOCHS[1], 9)).enter()
    ahead = Listener(ring, EventFilter(), Position(EPOCHS[0], 12))
    assert ahead.enter()
    ring.add(event(12))
    ring.add(event(13))
    assert [one["seq"] for one in all_of(ahead)] == [13]


@given(st.lists(st.sampled_from(["event", "burst", "reset", "read", "piece"]), max_size=60))
def test_a_listener_hears_all_in_order_or_is_told_that_it_missed_something(steps):
    ring, seq, epoch = Ring(Position(EPOCHS[0], 0)), 0, 0
    listener = Listener(ring, EventFilter(), ring.newest)
    happened, heard = [], []
    most, feed.MOST_HELD = feed.MOST_HELD, 10
    try:
        for step in [*steps, "read"]:
            if step in ("event", "burst"):
                for _ in range(1 if step == "event" else 7):
                    seq += 1
                    ring.add(event(seq, f"{epoch:012d}"))
                    happened.append((epoch, seq))
            elif step == "reset":
                epoch, seq = epoch + 1, 0
                ring.add(event(0, f"{epoch:012d}", "reset"))
                happened.append((epoch, 0))
            elif step == "read":
                heard += all_of(listener)
            elif listener.is_behind:
                heard += heard_in(listener.take())
            assert ring.end - ring.begin <= 10
    finally:
        feed.MOST_HELD = most
    told = 0  # how much of what happened the listener knows of, or knows that it has missed
    for one in heard:
        place = happened.index((int(one["epoch"]), one["seq"])) + 1
        assert place > told
        assert one["type"] == "resync" or place == told + 1
        told = place
    assert told == len(happened)
