"""Which units a device has, found by real processes; one that crashes, hangs or lies takes nobody else down."""

import asyncio
import os
import sys
from importlib import metadata

import psutil
import pytest

from daemons.core.units import CPU_ONNX, STANDARD_UNITS
from daemons.worker.engines import probe_child
from daemons.worker.engines.serving import ONNX_RUNTIME
from daemons.worker.probe import probe_units

ENGINE = """
import os, signal, sys, time
from daemons.worker.engines.base import Engine, EngineError, ProviderAbsent

class Fake(Engine):
    name = "Fake"
    units = ("A (Fake)", "B (Fake)", "C (Fake)")
    def version(self): return "1.2"
    def load(self, path, unit, options): raise NotImplementedError
    def probe(self, unit):
        print("noise of a library", flush=True)
        {probe}

class Second(Fake):
    name = "Second"
    units = ("B (Fake)", "D (Fake)")
    def probe(self, unit): pass
"""


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """Installs a package with an engine, for the processes started from here on."""

    def install(probe="pass", entries="fake = fake_engine:Fake", code=ENGINE):
        (tmp_path / "fake_engine.py").write_text(code.replace("{probe}", probe))
        info = tmp_path / "fake_engine-1.2.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-engine\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[benchfleet.engines]\n{entries}\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return install


def of_plug_ins(names):
    """Without the units of benchfleet's own engines, of which a device has what it has; the processor is everywhere."""
    return [name for name in names if name == CPU_ONNX or not name.endswith(("(ONNX)", "(CoreML)", "(OpenVINO)"))]


def of_the_fake(problems):
    """Without those of units that this device lacks anyway, such as a GPU."""
    return {unit: why for unit, why in problems.items() if unit.endswith("(Fake)")}


async def test_this_device_runs_onnx_models_on_its_processor():
    probe = await probe_units()
    assert CPU_ONNX in probe.units
    assert probe.serving[CPU_ONNX][0].spec == "daemons.worker.engines.onnx:OnnxRuntimeEngine"
    assert probe.engines["ONNX Runtime"]
    assert CPU_ONNX not in probe.problems


async def test_every_standard_unit_is_offered_or_says_what_it_lacks():
    probe = await probe_units()
    for unit in STANDARD_UNITS:
        assert (unit in probe.units) != (unit in probe.problems), unit


async def test_a_plug_in_adds_its_units(plug_in):
    plug_in()
    probe = await probe_units()
    assert of_plug_ins(probe.units) == [CPU_ONNX, "A (Fake)", "B (Fake)", "C (Fake)"]
    assert probe.engines["Fake"] == "1.2"
    assert [one.spec for one in probe.serving["A (Fake)"]] == ["fake_engine:Fake"]
    assert of_the_fake(probe.problems) == {}


async def test_a_driver_that_crashes_costs_its_unit_alone(plug_in):
    plug_in('os.kill(os.getpid(), signal.SIGSEGV) if unit.startswith("B") else None')
    probe = await probe_units()
    assert of_plug_ins(probe.units) == [CPU_ONNX, "A (Fake)", "C (Fake)"]
    assert of_the_fake(probe.problems) == {
        "B (Fake)": "the probing process was killed by SIGSEGV while B (Fake) was tried"
    }


async def test_a_driver_that_hangs_costs_its_unit_alone(plug_in):
    plug_in('time.sleep(100) if unit.startswith("B") else None')
    probe = await probe_units(timeout_s=6)
    assert of_plug_ins(probe.units) == [CPU_ONNX, "A (Fake)", "C (Fake)"]
    assert of_the_fake(probe.problems) == {
        "B (Fake)": "the probing process did not answer within 3 s while B (Fake) was tried"
    }


async def test_a_unit_that_is_absent_says_why(plug_in):
    plug_in('raise ProviderAbsent("no such chip") if unit.startswith("B") else ValueError("a bug")')
    probe = await probe_units()
    assert of_plug_ins(probe.units) == [CPU_ONNX]
    assert probe.problems["B (Fake)"] == "no such chip"
    assert probe.problems["A (Fake)"] == "ValueError: a bug"


async def test_an_engine_that_serves_nothing_here_is_not_listed(plug_in):
    """Core ML's is installed on every system, and can do nothing but on a Mac."""
    plug_in('raise ProviderAbsent("no such chip")')
    probe = await probe_units()
    assert "Fake" not in probe.engines
    assert "ONNX Runtime" in probe.engines
    assert probe.problems["A (Fake)"] == "no such chip"


def test_onnx_runtime_is_preferred_to_all_others_and_our_own_to_those(monkeypatch):
    """A model whose name tells nothing goes to its unit's first engine, and the first unit is a device's default."""
    values = {"aaa": "their.engine:Own", "coreml": "daemons.worker.engines.coreml:CoreMlEngine", "onnx": ONNX_RUNTIME}
    points = [metadata.EntryPoint(name, value, "benchfleet.engines") for name, value in values.items()]
    monkeypatch.setattr(probe_child.metadata, "entry_points", lambda **_group: points)
    assert [point.name for point in probe_child.plugins()] == ["onnx", "coreml", "aaa"]


async def test_another_engine_may_serve_what_the_first_does_not(plug_in):
    plug_in('raise EngineError("not today")', "fake = fake_engine:Fake\nother = fake_engine:Second")
    probe = await probe_units()
    assert [one.spec for one in probe.serving["B (Fake)"]] == ["fake_engine:Second"]
    assert set(of_the_fake(probe.problems)) == {"A (Fake)", "C (Fake)"}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import gone_with_the_wind", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "ended with status 3"),
        ("import os; os.abort()", "SIGABRT"),
        ("class Fake: pass", "AttributeError"),
    ],
)
async def test_a_plug_in_that_can_not_be_loaded_is_named(plug_in, code, told):
    plug_in(code=code)
    probe = await probe_units()
    assert of_plug_ins(probe.units) == [CPU_ONNX]
    assert told in probe.problems["fake"]


async def test_a_unit_with_a_name_that_is_none_is_refused(plug_in):
    plug_in(code=ENGINE.replace("A (Fake)", "just anything"))
    probe = await probe_units()
    assert "just anything" not in probe.units
    assert "no name for a compute unit" in probe.problems["just anything"]


@pytest.fixture
def hanging(plug_in, tmp_path):
    """An engine that hangs; answers with its process's number as soon as it does."""
    path = tmp_path / "pid"
    os.mkfifo(path)
    plug_in(f'open({str(path)!r}, "w").write(str(os.getpid())); time.sleep(100)')
    # Not in a thread, which would wait for ever, and the test run with it, if the engine never came so far.
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    async def process():
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(reading, told.set)
        try:
            await asyncio.wait_for(told.wait(), 60)
        finally:
            loop.remove_reader(reading)
        return psutil.Process(int(os.read(reading, 100)))

    yield process
    os.close(reading)


async def test_cancelling_leaves_no_process(hanging):
    task = asyncio.create_task(probe_units())
    process = await hanging()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not process.is_running()


async def test_the_probe_ends_with_its_owner(hanging):
    code = "import asyncio; from daemons.worker.probe import probe_units; asyncio.run(probe_units())"
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    process = await hanging()
    owner.kill()
    await owner.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, [process], 10)
    assert not alive
