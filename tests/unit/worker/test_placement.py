"""The proof of where a model ran: what each policy asks for, and what is told when it is not met."""

from __future__ import annotations

import pytest

from daemons.core.models import PlacementPolicy
from daemons.worker.bench.placement import NEEDED, node_placement, require_placement
from daemons.worker.engines.base import Facts, ProviderAbsent


def facts(own, others):
    return Facts(("Own", "CPU"), (("Own", own), ("CPU", others)))


@pytest.mark.parametrize(
    ("policy", "own", "others", "passes"),
    [
        ("majority", 1, 1, True),
        ("majority", 49, 51, False),
        ("majority", 0, 5, False),
        ("strict", 5, 0, True),
        ("strict", 999, 1, False),
        ("any", 0, 5, True),
    ],
)
def test_each_policy_asks_for_its_share(policy, own, others, passes):
    """Half of the nodes are a majority: so says the promise."""
    if passes:
        require_placement(facts(own, others), "GPU (X)", policy)
        return
    with pytest.raises(ProviderAbsent, match=f"Own took only .*Own {own}, CPU {others}.*placement: {policy}"):
        require_placement(facts(own, others), "GPU (X)", policy)


@pytest.mark.parametrize("policy", ["majority", "strict"])
def test_what_nobody_knows_is_no_proof(policy):
    unknown = Facts(("Own", "CPU"))
    with pytest.raises(ProviderAbsent, match=r"nothing proves.*ran on GPU \(X\).*Own and which on CPU.*placement: any"):
        require_placement(unknown, "GPU (X)", policy)
    require_placement(unknown, "GPU (X)", "any")


@pytest.mark.parametrize("policy", NEEDED)
def test_where_there_is_one_provider_no_node_can_be_elsewhere(policy):
    require_placement(Facts(("Own",)), "GPU (X)", policy)


def test_there_is_a_rule_for_each_policy_that_a_job_may_name():
    assert set(NEEDED) == set(PlacementPolicy.__args__)


def test_an_own_provider_that_is_not_in_the_count_has_nothing():
    assert Facts(("Own", "CPU"), (("CPU", 7),)).provider_share == 0.0


def test_the_placement_is_written_for_people():
    assert node_placement((("CUDA", 118), ("CPU", 4))) == "CUDA 118, CPU 4"
    assert node_placement(()) is None
