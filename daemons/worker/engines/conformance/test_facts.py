"""Facts: what really runs. The proof of the placement, and several columns of a row, are made of them."""

from __future__ import annotations

import os

import pytest

from daemons.worker.engines.base import Engine, Facts
from daemons.worker.engines.conformance.conftest import Load


@pytest.fixture
def facts(load: Load, model_path: str) -> Facts:
    """Of a model that has run, as they are asked for."""
    model = load(model_path)
    model.run(model.inputs(seed=0).feed)
    found = model.facts()
    assert isinstance(found, Facts)
    return found


def test_there_is_a_provider(facts: Facts) -> None:
    """The first is the unit's own."""
    assert isinstance(facts.providers, tuple)
    assert facts.providers
    assert all(isinstance(name, str) and name.strip() for name in facts.providers)


def test_nodes_are_counted_by_provider(facts: Facts) -> None:
    """By those that are there, each once."""
    names = [name for name, _ in facts.nodes]
    assert len(set(names)) == len(names)
    assert set(names) <= set(facts.providers), "nodes are on a provider that is not among the providers"
    assert all(isinstance(count, int) and count >= 0 for _, count in facts.nodes)


def test_the_share_of_the_units_own_provider_is_a_share_or_unknown(facts: Facts) -> None:
    """From 0 to 1."""
    assert facts.provider_share is None or 0 <= facts.provider_share <= 1


def test_threads_are_counted_or_unknown(facts: Facts) -> None:
    """There is one at least."""
    assert facts.threads is None or (isinstance(facts.threads, int) and facts.threads >= 1)


def test_the_transfer_is_included_excluded_or_none(facts: Facts) -> None:
    """Whether a run moves inputs and outputs to and from the unit's own memory."""
    assert facts.transfer in {None, "included", "excluded"}


def test_the_compile_cache_was_empty_filled_or_none(facts: Facts) -> None:
    """Before the load."""
    assert facts.compile_cache in {None, "empty", "filled"}


def test_precision_and_notes_are_text(facts: Facts) -> None:
    """For a column and for the warnings."""
    assert facts.precision is None or (isinstance(facts.precision, str) and facts.precision.strip())
    assert isinstance(facts.notes, tuple)
    assert all(isinstance(note, str) and " " in note for note in facts.notes)


def test_facts_stay_what_they_are(load: Load, model_path: str) -> None:
    """However often they are asked for."""
    model = load(model_path)
    model.run(model.inputs(seed=0).feed)
    assert model.facts() == model.facts()


@pytest.mark.parametrize("threads", [1, 2])
def test_as_many_threads_as_were_asked_for(engine: Engine, load: Load, model_path: str, threads: int) -> None:
    """What a row says of them is what the job asked for."""
    if "threads" not in engine.options:
        pytest.skip("the engine's threads can't be set")
    if threads > (os.cpu_count() or 1):
        pytest.skip("this machine has one core")
    assert load(model_path, threads=threads).facts().threads == threads
