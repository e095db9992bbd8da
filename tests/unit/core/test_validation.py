"""From a document to a value, or to every mistake in it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from daemons.core.errors import InvalidInput
from daemons.core.validation import MAX_MISTAKES, convert, decode_json, describe, find_mistakes, show, spell


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Wheel(Struct, forbid_unknown_fields=True):
    spokes: Annotated[int, Meta(ge=1, le=100)]
    colour: Colour = Colour.RED


class Range(Struct, forbid_unknown_fields=True):
    low: int = 0
    high: int = 1

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low must not be above high")


class Cart(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=5)]
    wheels: Annotated[list[Wheel], Meta(min_length=1, max_length=3)]
    load: Range | None = None
    tag: Annotated[str, Meta(pattern="^x", extra={"allowed": "a word that begins with x"})] | None = None


def problems(document, wanted=Cart):
    return [str(mistake) for mistake in find_mistakes(document, wanted)]


def test_a_key_of_the_wrong_form_is_told_with_the_form():
    labels = dict[Annotated[str, Meta(max_length=3)], Annotated[int, Meta(ge=0)]]
    assert problems({"abcd": 1, "a": -1, "b": 2}, labels) == [
        'each key must be text of at most 3 characters, and one is "abcd"',
        "a: must be a whole number of at least 0, and is -1",
    ]


def test_what_is_right_has_no_mistakes():
    assert problems({"name": "a", "wheels": [{"spokes": 1, "colour": "blue"}], "load": None}) == []


def test_every_mistake_is_named_with_its_place_what_is_allowed_and_what_was_found():
    document = {"name": "", "wheels": [{"spokes": 0}, {"colour": "green", "spoks": 3}, 7], "tag": "y"}
    assert problems(document) == [
        'name: must be text of 1 to 5 characters, and is ""',
        "wheels[0].spokes: must be a whole number from 1 to 100, and is 0",
        'wheels[1].colour: must be one of red, blue, and is "green"',
        "wheels[1].spoks: there is no such key; did you mean `spokes`?",
        "wheels[1].spokes: is missing; it takes a whole number from 1 to 100",
        "wheels[2]: must be an object with the keys spokes, colour, and is 7",
        'tag: must be a word that begins with x or null, and is "y"',
    ]


@pytest.mark.parametrize(
    ("wheels", "problem"),
    [
        ([], "wheels: must hold at least 1, and holds 0"),
        ([{"spokes": 1}] * 4, "wheels: must hold at most 3, and holds 4"),
    ],
)
def test_a_list_of_the_wrong_length_is_one_mistake(wheels, problem):
    assert problems({"name": "a", "wheels": wheels}) == [problem]


def test_keys_that_contradict_each_other_are_told_in_the_words_of_their_object():
    document = {"name": "a", "wheels": [{"spokes": 1}], "load": {"low": 2}}
    assert problems(document) == ["load: low must not be above high"]


def test_a_contradiction_is_not_told_where_a_key_is_wrong_in_itself():
    document = {"name": "a", "wheels": [{"spokes": 1}], "load": {"low": "2"}}
    assert problems(document) == ['load.low: must be a whole number, and is "2"']


def test_at_most_so_many_mistakes_are_told():
    assert len(problems(["x"] * 1000, list[int])) == MAX_MISTAKES


def test_a_key_far_from_all_others_is_answered_with_the_keys_there_are():
    assert problems({"spokes": 1, "zzz": 2}, Wheel) == ["zzz: there is no such key; allowed are colour, spokes"]


def test_decoding_names_the_first_field_and_all_mistakes():
    with pytest.raises(InvalidInput) as caught:
        decode_json(b'{"name": 1, "wheels": 2}', Cart)
    assert caught.value.field == "name"
    assert len(caught.value.mistakes) == 2


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"name": NaN}', b'"\xed\xa0\x80"'])
def test_what_is_not_json_is_told_as_a_sentence(body):
    with pytest.raises(InvalidInput, match="the body is "):
        decode_json(body, Cart)


def test_converting_gives_the_value_itself():
    assert convert({"spokes": 3}, Wheel) == Wheel(3)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (int, "a whole number"),
        (Annotated[int, Meta(ge=1)], "a whole number of at least 1"),
        (Annotated[float, Meta(gt=0)], "a number above 0"),
        (Annotated[float, Meta(gt=0, le=1000)], "a number from above 0 to 1,000"),
        (Annotated[float, Meta(le=5)], "a number up to 5"),
        (Annotated[str, Meta(max_length=3)], "text of at most 3 characters"),
        (Annotated[str, Meta(pattern="^a$")], "text of the form ^a$"),
        (bool, "true or false"),
        (int | None, "a whole number or null"),
        (Literal["a", "b"], "one of a, b"),
        (list[bool], "a list, each item true or false"),
        (dict[str, int], "an object"),
    ],
)
def test_what_a_place_takes_is_said_in_words(kind, words):
    assert describe(msgspec.inspect.type_info(kind)) == words


def test_long_values_are_cut_and_control_characters_escaped():
    assert show("x" * 1000, limit=10) == '"xxxxxxxxx…'
    assert show("\x1b[2J") == '"\\u001b[2J"'


def test_a_password_inside_an_address_is_not_repeated():
    assert show("redis:/me:secret@host/0") == '"redis:/me:secret@host/0"'
    assert show("rdis://me:secret@host/0") == '"rdis://…@host/0"'


def test_paths_are_spelt_as_people_write_them():
    assert spell(("jobs", 0, "inputs", 2)) == "jobs[0].inputs[2]"


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "wheels", "load", "spokes", "colour", "low", "other"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON_LIKE)
def test_mistakes_are_found_exactly_where_msgspec_refuses(document):
    try:
        msgspec.convert(document, Cart)
    except msgspec.ValidationError:
        assert find_mistakes(document, Cart)
    else:
        assert find_mistakes(document, Cart) == []
