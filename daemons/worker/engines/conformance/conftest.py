"""Fixtures of the conformance suite: the engine and unit that a test is about, and models loaded on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemons.worker.engines.base import Engine, LoadedModel, LoadOptions
from daemons.worker.engines.conformance.models import ADD
from daemons.worker.engines.conformance.subjects import (
    Subject,
    declared_units,
    engine_of,
    whole_plugins,
    working_units,
)

Load = Callable[..., LoadedModel]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with a `unit` is run for each one that works here, with a `plugin` for each engine."""
    for name, subjects in (("unit", working_units), ("declared_unit", declared_units), ("plugin", whole_plugins)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, subjects(), ids=str, indirect=True)


@pytest.fixture
def plugin(request: pytest.FixtureRequest) -> Subject:
    """An installed engine."""
    subject: Subject = request.param
    return subject


@pytest.fixture
def declared_unit(request: pytest.FixtureRequest) -> Subject:
    """A unit that an engine may serve."""
    subject: Subject = request.param
    return subject


@pytest.fixture
def unit(request: pytest.FixtureRequest) -> Subject:
    """A unit of an engine that works on this machine."""
    subject: Subject = request.param
    return subject


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    """The engine of the test's plug-in or unit."""
    name = "unit" if "unit" in request.fixturenames else "plugin"
    subject: Subject = request.getfixturevalue(name)
    return engine_of(subject.point)


@pytest.fixture
def takes_onnx(engine: Engine) -> bool:
    """Whether the engine takes .onnx models."""
    return ".onnx" in engine.file_types


@pytest.fixture
def model_path(engine: Engine, takes_onnx: bool, tmp_path: Path) -> str:
    """A small model of a kind that the engine takes."""
    if takes_onnx:
        return written(ADD.content, tmp_path)
    path = engine.example(str(tmp_path))
    assert path is not None, "an engine that takes no .onnx models must write one of its own kind: `example`"
    return path


@pytest.fixture
def only_onnx(takes_onnx: bool) -> None:
    """The test is about .onnx models."""
    if not takes_onnx:
        pytest.skip("the engine takes no .onnx models, and what its own compute is not known here")


@pytest.fixture
def load(engine: Engine, unit: Subject, tmp_path: Path) -> Iterator[Load]:
    """Loads a model, by its path or an ONNX file's content, with options."""
    loaded: list[LoadedModel] = []

    def load_model(model: str | bytes, **options: Any) -> LoadedModel:
        path = model if isinstance(model, str) else written(model, tmp_path, f"model{len(loaded)}.onnx")
        assert unit.unit is not None
        loaded.append(engine.load(path, unit.unit, LoadOptions(**options)))
        return loaded[-1]

    yield load_model
    for model in loaded:
        model.close()


def written(content: bytes, folder: Path, name: str = "model.onnx") -> str:
    """The path of a new file."""
    path = folder / name
    path.write_bytes(content)
    return str(path)
