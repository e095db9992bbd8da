"""What an attempt makes of a job's inputs_url and credentials, and what the daemon makes of their file."""

from __future__ import annotations

import asyncio
import contextlib
import io
import zipfile
from pathlib import Path

import msgspec
import pytest

from daemons.core.errors import ConfigInvalid
from daemons.core.lifecycle import ReportStatus
from daemons.core.models import ClaimedJob
from daemons.core.settings import ModelSettings, WorkerSettings
from daemons.worker.attempt import Attempts
from daemons.worker.daemon import _model_cache
from daemons.worker.lease import Standing
from tests.support.fake_orchestrator import a_job
from tests.support.model_server import serving_models
from tests.support.worker_world import ObedientBench

UNIT = "CPU (ONNX)"


@pytest.fixture
async def server():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as writer:
        writer.writestr("x.npy", b"numbers")
    async with serving_models() as running:
        running.files |= {"m.onnx": b"\x08\x07 a model", "x.npz": packed.getvalue()}
        yield running


@pytest.fixture
def credentials_file(tmp_path) -> Path:
    path = tmp_path / "credentials.yaml"
    path.write_text("lab: {hosts: [127.0.0.1], headers: {Authorization: Bearer s3cret}}")
    path.chmod(0o600)
    return path


def settings(credentials_file: Path | None) -> WorkerSettings:
    named = None if credentials_file is None else str(credentials_file)
    return WorkerSettings(models=ModelSettings(credentials_file=named))


def read(path: str | None) -> bytes:
    return Path(path or "").read_bytes()


async def outcome_of(state: Path, configured: WorkerSettings, **job: object):
    bench = ObedientBench()
    bench.may_end.set()
    cache = _model_cache(configured, "http://127.0.0.1:9", state)
    attempts = Attempts([UNIT], cache, bench, contextlib.nullcontext)
    try:
        claimed = msgspec.convert(a_job(**job), ClaimedJob)
        return await asyncio.wait_for(attempts.make(claimed, Standing()), 20), bench.requests
    finally:
        await attempts.close()


async def test_inputs_are_fetched_with_the_campaigns_credentials_and_handed_to_the_bench(
    tmp_path, server, credentials_file
):
    outcome, requests = await outcome_of(
        tmp_path / "state",
        settings(credentials_file),
        model_url=server.url("m.onnx"),
        inputs_url=server.url("x.npz"),
        credentials="lab",
    )
    assert outcome.status is ReportStatus.COMPLETE
    assert read(requests[0].inputs_path) == server.files["x.npz"]
    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer s3cret"] * 2


async def test_a_job_without_inputs_url_hands_on_none(tmp_path, server):
    _, requests = await outcome_of(tmp_path / "state", settings(None), model_url=server.url("m.onnx"))
    assert requests[0].inputs_path is None


async def test_missing_inputs_fail_the_job_and_are_named(tmp_path, server):
    outcome, requests = await outcome_of(
        tmp_path / "state", settings(None), model_url=server.url("m.onnx"), inputs_url=server.url("none.npz")
    )
    assert outcome.status is ReportStatus.FAILED
    assert outcome.measurement.remark.startswith("inputs_url: the inputs file's server answers HTTP 404")
    assert "none.npz" in outcome.measurement.remark
    assert requests == []


async def test_unknown_credentials_fail_the_job_with_their_name_and_the_files_key(tmp_path, server, credentials_file):
    for configured in (settings(credentials_file), settings(None)):
        outcome, _ = await outcome_of(
            tmp_path / "state", configured, model_url=server.url("m.onnx"), credentials="office"
        )
        assert outcome.status is ReportStatus.FAILED
        assert "'office'" in outcome.measurement.remark
        assert "models.credentials_file" in outcome.measurement.remark
        assert "lab" not in outcome.measurement.remark
    assert server.requests == []


def test_a_file_that_others_may_read_stops_the_daemon_at_its_start(tmp_path, credentials_file):
    credentials_file.chmod(0o644)
    with pytest.raises(ConfigInvalid, match=r"models\.credentials_file may be read by its owner alone"):
        _model_cache(settings(credentials_file), "http://127.0.0.1:9", tmp_path)


def test_the_daemon_clears_what_a_killed_one_left(tmp_path):
    (tmp_path / "models" / "unpacking-0").mkdir(parents=True)
    _model_cache(settings(None), "http://127.0.0.1:9", tmp_path)
    assert not (tmp_path / "models" / "unpacking-0").exists()
