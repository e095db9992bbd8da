"""A whole measurement of a small model, in a measuring process as a worker starts it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from daemons.core.lifecycle import ReportStatus
from daemons.core.models import BenchRequest, Progress
from daemons.core.results import Outcome
from daemons.worker.engines.base import Engine, EngineError
from daemons.worker.engines.conformance.conftest import Load
from daemons.worker.engines.conformance.subjects import Subject

if os.name != "posix":
    pytest.skip("measuring processes are for Linux and macOS", allow_module_level=True)

from daemons.worker.bench.runner import Bench


def measured(unit: Subject, path: str, **more: Any) -> Outcome:
    """The outcome of a job for the unit."""
    request = BenchRequest(
        model_path=path,
        file_name=Path(path).name,
        model_folder=path if Path(path).is_dir() else None,
        compute_unit=str(unit.unit),
        num_inference_runs=5,
        num_load_runs=2,
        placement="any",
        timeout_s=100.0,
        **more,
    )
    return asyncio.run(_measured(Bench({str(unit.unit): [unit.serves]}), request))


async def _measured(bench: Bench, request: BenchRequest) -> Outcome:
    try:
        return await bench.measure(request, ignore)
    finally:
        await bench.close()


def ignore(_progress: Progress) -> None:
    """Nobody looks."""


def test_a_job_is_complete_with_all_its_figures(unit: Subject, engine: Engine, model_path: str) -> None:
    """The row names the engine, and every time in it is positive."""
    outcome = measured(unit, model_path)
    figures = outcome.measurement
    assert outcome.status is ReportStatus.COMPLETE, figures.remark
    assert (figures.engine, figures.engine_version) == (engine.name, engine.version())
    assert (figures.load_runs, figures.inference_runs) == (2, 5)
    assert (figures.load_ms_median or 0) > 0
    assert (figures.inference_ms_median or 0) > 0
    assert (figures.inference_ms_first or 0) > 0
    assert figures.execution_provider
    assert figures.input_shapes


def test_a_file_that_is_no_model_fails_the_job_with_a_sentence(unit: Subject, model_path: str) -> None:
    """And takes no process down."""
    if Path(model_path).is_dir():
        pytest.skip("the engine's models are folders")
    Path(model_path).write_bytes(b"no model at all, " * 20)
    outcome = measured(unit, model_path)
    assert outcome.status is ReportStatus.FAILED
    remark = outcome.measurement.remark or ""
    assert " raised " not in remark, f"an engine refuses with an EngineError: {remark}"
    assert "measuring process" not in remark, f"an engine leaves its process alive: {remark}"


def test_checked_outputs_agree(unit: Subject, load: Load, model_path: str) -> None:
    """Of a job with `check_outputs`, within the tolerance of what it computes in."""
    model = load(model_path)
    try:
        model.outputs(model.inputs(seed=0).feed)
    except EngineError as error:
        pytest.skip(str(error))
    outcome = measured(unit, model_path, check_outputs=True)
    assert outcome.status is ReportStatus.COMPLETE, outcome.measurement.remark
    assert [warning for warning in outcome.measurement.warnings if "the output" in warning] == []
