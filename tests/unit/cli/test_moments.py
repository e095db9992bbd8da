"""Times as people say them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from daemons.cli.moments import seconds_between, seconds_since, span, span_of

NOW = datetime(2025, 1, 9, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "—"),
        (0.4, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (86_399, "23 h"),
        (86_400, "1 d"),
        (4_000_000, "46 d"),
    ],
)
def test_spans_have_one_unit(seconds, said):
    assert span(seconds) == said


def test_ages_are_never_negative_and_may_be_unknown():
    assert seconds_since("2025-01-09T14:59:00.000Z", NOW) == 60
    assert seconds_since("2025-01-09T15:01:00.000Z", NOW) == 0, "the server's clock is ahead"
    assert seconds_since(None, NOW) is None


def test_what_has_not_ended_takes_until_now():
    begun = "2025-01-09T14:58:00.000Z"
    assert span_of(begun, None, NOW) == "2 min"
    assert span_of(begun, "2025-01-09T14:58:07.500Z", NOW) == "7 s"
    assert span_of(None, None, NOW) == "—"
    assert seconds_between(begun, begun) == 0
