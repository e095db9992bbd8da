"""The tree of errors is the one that its module draws."""

from __future__ import annotations

import re

from daemons.core import errors


def family(kind):
    return [
        kind,
        *(member for child in kind.__subclasses__() if child.__module__ == errors.__name__ for member in family(child)),
    ]


def test_the_drawing_shows_every_error():
    drawn = re.findall(r"(?:──|^ {4}) ?([A-Z]\w+) ", errors.__doc__, re.MULTILINE)
    assert drawn == [kind.__name__ for kind in family(errors.BenchfleetError)]


def test_several_mistakes_are_kept_apart():
    assert errors.InvalidInput("one").mistakes == ("one",)
    assert errors.ConfigInvalid("one; two", mistakes=("one", "two")).mistakes == ("one", "two")
