"""From which addresses a model may come."""

from __future__ import annotations

import pytest

from daemons.transfer.egress import objection

NEVER = [
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "fe80::1",
    "fe80::1%lo",
    "fd00:ec2::254",
    "100.100.100.200",
    "224.0.0.1",
    "ff02::1",
    "0.0.0.0",
    "::",
    "255.255.255.255",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
]
PRIVATE = ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "fd12::1", "100.64.0.1"]
PUBLIC = ["140.82.121.3", "2606:50c0:8000::153", "::ffff:140.82.121.3"]


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_connected_to(address):
    assert objection(address, private_allowed=True)
    assert objection(address, private_allowed=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_a_matter_of_policy(address):
    assert objection(address, private_allowed=True) is None
    told = objection(address, private_allowed=False, setting="the lab's own setting")
    assert "a private address, and the lab's own setting is false" in str(told)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_open(address):
    assert objection(address, private_allowed=False) is None
