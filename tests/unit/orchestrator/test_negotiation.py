"""Which content type an `Accept` header means."""

from __future__ import annotations

import pytest

from daemons.orchestrator.api.negotiation import best_of, takes_gzip

OFFERED = ("text/csv", "application/json", "application/x-ndjson")


@pytest.mark.parametrize(
    ("accept", "best"),
    [
        ([], "text/csv"),
        (["*/*"], "text/csv"),
        (["application/json"], "application/json"),
        (["APPLICATION/JSON; charset=utf-8"], "application/json"),
        (["application/*"], "application/json"),
        (["application/x-ndjson, application/json;q=0.9"], "application/x-ndjson"),
        (["text/csv;q=0.1, application/json;q=0.2"], "application/json"),
        (["text/csv;q=0, */*"], "application/json"),
        (["text/csv;q=0", "*/*;q=0.5"], "application/json"),
        (["*/*;q=0.9, application/x-ndjson;q=0.8, text/csv;q=0.1"], "application/json"),
        (["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], "text/csv"),
        (["text/html"], None),
        (["text/html;q=1, text/csv;q=0"], None),
        (["*/*;q=0"], None),
        ([""], "text/csv"),
        ([",;q=1,"], "text/csv"),
        (["application/json;q=abc"], "application/json"),
        (["*"], "text/csv"),
    ],
)
def test_the_best_of_what_is_offered(accept, best):
    assert best_of(accept, OFFERED) == best


@pytest.mark.parametrize(
    ("accept", "takes"),
    [
        ([], False),
        (["gzip, deflate"], True),
        (["deflate"], False),
        (["gzip;q=0"], False),
        (["gzip;q=0, *"], False),
        (["*"], True),
        (["br;q=1.0, GZIP;q=0.5"], True),
        (["identity"], False),
    ],
)
def test_whether_gzip_is_taken(accept, takes):
    assert takes_gzip(accept) == takes
