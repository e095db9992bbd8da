"""Where messages about ended campaigns may go, how they are signed, when they are sent again."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemons.core.errors import InvalidInput
from daemons.core.webhooks import (
    GIVE_UP_AFTER_S,
    LONGEST_DELAY_S,
    check_webhook,
    delay_s,
    is_signed,
    message,
    shown_webhook,
    signatures,
)

HOSTS = ["hooks.example.org", "10.0.0.7"]


@pytest.mark.parametrize(
    "url", ["https://hooks.example.org/x?token=1", "http://HOOKS.example.org:8080", "http://10.0.0.7/a/b"]
)
def test_a_host_that_is_named_may_be_sent_to(url):
    check_webhook(url, HOSTS)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://elsewhere.example.org/", "webhooks.allowed_hosts doesn't name it"),
        ("https://hooks.example.org.evil.example/", "webhooks.allowed_hosts doesn't name it"),
        ("https://hooks.example.org@evil.example/", "no user name and no password"),
        ("https://me:secret@hooks.example.org/", "no user name and no password"),
        ("ftp://hooks.example.org/", "http:// or https://"),
        ("hooks.example.org", "http:// or https://"),
        ("https://hooks.example.org:99999/", "is not a URL"),
        ("https://[::1/", "is not a URL"),
        ("https://hooks.example.org/\r\nX: y", "spaces or control characters"),
        ("https:///path", "webhooks.allowed_hosts doesn't name it"),
    ],
)
def test_any_other_is_refused_with_the_reason(url, says):
    with pytest.raises(InvalidInput, match=says) as refused:
        check_webhook(url, HOSTS)
    assert refused.value.field == "webhook.url"
    assert "secret" not in str(refused.value)


def test_by_default_nobody_may_be_sent_to_and_the_setting_is_named():
    with pytest.raises(InvalidInput, match=r"setting webhooks\.allowed_hosts names the hosts"):
        check_webhook("https://hooks.example.org/", [])


def test_what_is_shown_has_no_query():
    assert shown_webhook("https://h.example/a?token=secret#x") == "https://h.example/a"


def test_the_signature_is_the_one_that_the_documents_describe():
    body = b'{"type":"campaign.ended"}'
    wanted = hmac.new(b"0123456789abcdef", b"1736432000." + body, hashlib.sha256).hexdigest()
    assert signatures([b"0123456789abcdef"], 1736432000, body) == f"v1={wanted}"


@given(st.binary(min_size=1), st.integers(0, 2**33), st.binary())
def test_a_receiver_takes_what_was_signed_with_its_secret_and_nothing_else(secret, timestamp, body):
    header = signatures([b"another", secret], timestamp, body)
    assert is_signed(secret, header, timestamp, body)
    assert is_signed(b"another", header, timestamp, body)
    assert not is_signed(secret + b"x", header, timestamp, body)
    assert not is_signed(secret, header, timestamp + 1, body)
    assert not is_signed(secret, header, timestamp, body + b" ")
    assert not is_signed(secret, "", timestamp, body)
    assert not is_signed(secret, header.replace("v1=", "v0="), timestamp, body)


def test_the_message_leads_to_the_results():
    campaign = {"campaign_id": "campaign-17", "status": "completed"}
    assert message("d", campaign, None)["results_url"] == "/api/campaigns/campaign-17/results"
    linked = message("d", campaign, "https://bench.example.org/")
    assert linked["results_url"] == "https://bench.example.org/api/campaigns/campaign-17/results"
    assert (linked["campaign"], linked["delivery"]) == (campaign, "d")


def test_it_is_sent_again_less_and_less_often_for_a_day():
    delays = [delay_s(attempts, 0.0, 1.0) for attempts in range(1, 40)]
    assert delays[:4] == [10.0, 20.0, 40.0, 80.0]
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY_S
    assert delay_s(1, 0.0, 0.5) == 5.0
    assert delay_s(1, GIVE_UP_AFTER_S, 1.0) is None
    assert delay_s(30, GIVE_UP_AFTER_S - 1, 1.0) is not None
