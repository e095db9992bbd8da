"""Loading: a model on its unit, or a sentence; and giving everything back."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemons.worker.engines.base import Engine, LoadedModel, LoadOptions
from daemons.worker.engines.conformance.checks import assert_discreet, refusal
from daemons.worker.engines.conformance.conftest import Load
from daemons.worker.engines.conformance.subjects import Subject


def test_a_model_loads(load: Load, model_path: str) -> None:
    """As what the measuring process works with."""
    assert isinstance(load(model_path), LoadedModel)


def test_a_missing_file_is_refused_with_a_sentence(
    engine: Engine, unit: Subject, model_path: str, tmp_path: Path
) -> None:
    """As when a cache was cleared under it."""
    gone = tmp_path / "gone" / Path(model_path).name
    assert unit.unit is not None
    text = refusal(lambda: engine.load(str(gone), str(unit.unit), LoadOptions()), "a missing file")
    assert_discreet(text, tmp_path)


@pytest.mark.parametrize("damage", ["garbage", "empty", "cut off"])
def test_a_file_that_is_no_model_is_refused_with_a_sentence(
    engine: Engine, unit: Subject, model_path: str, tmp_path: Path, damage: str
) -> None:
    """Whatever somebody sends: the job fails with the sentence as its remark."""
    path = Path(model_path)
    if path.is_dir():
        pytest.skip("the engine's models are folders")
    content = path.read_bytes()
    path.write_bytes(
        {"garbage": b"no model at all, " * 20, "empty": b"", "cut off": content[: len(content) * 2 // 3]}[damage]
    )
    text = refusal(lambda: engine.load(model_path, str(unit.unit), LoadOptions()), f"a file that is {damage}")
    assert_discreet(text, tmp_path)


def test_a_refusal_does_not_keep_the_next_model_from_loading(
    engine: Engine, unit: Subject, load: Load, model_path: str, tmp_path: Path
) -> None:
    """An engine has no memory of what went wrong."""
    bad = tmp_path / f"bad{Path(model_path).suffix}"
    bad.write_bytes(b"no model at all, " * 20)
    refusal(lambda: engine.load(str(bad), str(unit.unit), LoadOptions()), "a file that is no model")
    model = load(model_path)
    model.run(model.inputs(seed=0).feed)


def test_a_model_loads_again_after_it_was_closed(load: Load, model_path: str) -> None:
    """A job loads its model several times over."""
    for _ in range(3):
        model = load(model_path)
        model.run(model.inputs(seed=0).feed)
        model.close()


def test_closing_twice_does_no_harm(load: Load, model_path: str) -> None:
    """Whether it has run or not."""
    for has_run in (False, True):
        model = load(model_path)
        if has_run:
            model.run(model.inputs(seed=0).feed)
        model.close()
        model.close()
