"""What the server refuses comes with the field and every mistake that it names, and nothing else is believed."""

from __future__ import annotations

from unittest.mock import Mock

import msgspec
import pytest

from daemons.client.refusals import refusal
from daemons.core.errors import Conflict, InvalidInput, TooLarge


def refused(status: int, **problem: object) -> Exception:
    return refusal("http://lab", Mock(status=status, headers={}), msgspec.json.encode(problem))


def test_the_field_and_every_mistake_are_named():
    error = refused(400, error="a: is 1; b: is 2", field="a", mistakes=["a: is 1", "b: is 2"], code="invalid_input")
    assert isinstance(error, InvalidInput)
    assert (str(error), error.field, error.mistakes) == ("a: is 1; b: is 2", "a", ("a: is 1", "b: is 2"))


@pytest.mark.parametrize("more", [{}, {"field": None, "mistakes": []}, {"field": 7, "mistakes": "x"}])
def test_without_them_the_sentence_is_the_mistake(more):
    error = refused(413, error="too large", **more)
    assert isinstance(error, TooLarge)
    assert (error.field, error.mistakes) == (None, ("too large",))


def test_other_refusals_have_no_field():
    error = refused(409, error="it has ended", field="a")
    assert isinstance(error, Conflict)
    assert not hasattr(error, "field")
