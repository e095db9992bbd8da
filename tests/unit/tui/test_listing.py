"""Rows stay in their order change by change, and never otherwise than if they were sorted anew."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tui.board.board import Board
from tui.board.cells import Cell
from tui.board.columns import Column, Scene, by_number, by_text, fit
from tui.board.filters import parse_filter
from tui.board.listing import Listing

COLUMNS = (
    Column("name", 6, lambda one, _: Cell(one[0]), lambda one, _: by_text(one[0]), 0, 1),
    Column("size", 4, lambda one, _: Cell(str(one[1])), lambda one, _: by_number(one[1]), 1, is_right=True),
)
SCENE = Scene(Board(), 0.0)

rows = st.dictionaries(
    st.sampled_from([f"k{number}" for number in range(12)]),
    st.tuples(st.sampled_from(["ash", "Birch", "cedar", ""]), st.one_of(st.none(), st.integers(0, 5))),
    max_size=12,
)


def build(items, **more):
    listing = Listing(items, COLUMNS, lambda: SCENE, **more)
    for _ in listing.rebuild():
        pass
    return listing


def keys_of(listing):
    return [listing.key_at(row) for row in range(len(listing))]


@given(
    rows,
    st.lists(rows, max_size=5),
    st.sampled_from([None, "name", "size"]),
    st.booleans(),
    st.sampled_from(["", "a", "!a", "size:3"]),
)
@settings(max_examples=150)
def test_kept_row_by_row_it_is_what_sorting_anew_would_make(first, later, sort, is_descending, text):
    items = dict(first)
    listing = build(items, sort=sort, is_descending=is_descending)
    listing.filter_by(text)
    for _ in listing.rebuild():
        pass
    for state in later:
        changed = items.keys() | state.keys()
        items.clear()
        items.update(state)
        listing.update(changed)
    anew = Listing(items, COLUMNS, lambda: SCENE, sort=sort, is_descending=is_descending)
    anew.filter_by(text)
    for _ in anew.rebuild():
        pass
    assert keys_of(listing) == keys_of(anew)
    assert [listing.row_of(key) for key in keys_of(listing)] == list(range(len(listing)))


@given(rows)
def test_what_is_unknown_comes_last(items):
    known = [items[key][1] for key in keys_of(build(items, sort="size"))]
    assert known == sorted(known, key=lambda value: (value is None, value or 0))


def test_many_rows_are_put_in_order_step_by_step_while_the_old_order_stands():
    items = {f"k{number:05d}": ("x", -number) for number in range(9000)}
    listing = build(items)
    before = keys_of(listing)
    listing.sort_by("size", is_descending=False)
    steps = 0
    for _ in listing.rebuild():
        steps += 1
        assert listing.key_at(0) == before[0]
    assert steps > 9
    assert listing.key_at(0) == "k08999"


def test_a_filter_has_words_that_must_and_must_not_be_there():
    texts = {"device": "Mac mini", "status": "● active"}
    for text, passes in (
        ("", True),
        ("mac", True),
        ("mac active", True),
        ("!mac", False),
        ("!linux", True),
        ("status:mac", False),
        ("!status:mac device:mini", True),
        ("nope:mac", False),
        ("status:", True),
        ("!", True),
    ):
        assert parse_filter(text, ("device", "status")).takes(texts) is passes, text


@given(st.integers(1, 300), st.integers(0, 6))
def test_columns_fit_their_width_and_the_first_one_always_stays(width, skip):
    columns = [
        Column(f"c{number}", 4 + number * 3, lambda _one, _scene: Cell(""), None, (number * 5) % 7, number % 3)
        for number in range(7)
    ]
    placed = fit(columns, width, skip)
    assert placed[0].number == 0
    assert [place.number for place in placed] == sorted({place.number for place in placed})
    assert all(place.number == 0 or place.number > skip for place in placed)
    assert sum(place.width for place in placed) + len(placed) - 1 <= max(width, columns[0].width)
