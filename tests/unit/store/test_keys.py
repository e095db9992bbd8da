"""Which identifiers can be part of a key."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemons.core.errors import NotFound
from daemons.store.keys import (
    as_glob,
    campaign_of,
    check_campaign_id,
    check_job_id,
    check_worker_id,
    job_id_at,
    position_of,
)
from daemons.store.lua import read_sources


def test_identifiers_of_ours_pass():
    assert check_campaign_id("campaign-1234567890") == "campaign-1234567890"
    assert check_worker_id("worker-abc123") == "worker-abc123"
    job_id = job_id_at("campaign-12", 99_999)
    assert (check_job_id(job_id), campaign_of(job_id), position_of(job_id)) == (job_id, "campaign-12", 99_999)


@pytest.mark.parametrize("check", [check_campaign_id, check_job_id, check_worker_id])
@given(text=st.text() | st.from_regex(r"(campaign|worker)-.*", fullmatch=True))
def test_nothing_else_does(check, text):
    ours = re.compile(r"(campaign-[0-9]{1,20}(-job-[0-9]{1,6})?|worker-[0-9a-f]{1,32})\Z")
    try:
        passed = check(text)
    except NotFound as error:
        refusal = str(error)
    else:
        refusal = ""
        assert ours.match(passed)
    assert len(refusal) < 1000


@given(prefix=st.text("ab[]*?\\^-:", max_size=8))
def test_a_glob_of_a_prefix_has_no_live_signs(prefix):
    bare = re.sub(r"\\(.)", r"\1", as_glob(prefix)[:-1])
    assert bare == prefix
    assert not re.search(r"(?<!\\)(\\\\)*[*?\[\]]", as_glob(prefix)[:-1])


def test_every_script_begins_with_what_they_share():
    sources = read_sources()
    assert {"submit", "claim", "finish", "heartbeat", "reset", "lose_worker", "release"} <= set(sources)
    assert all(text.startswith("-- Shared by every script") for text in sources.values())
