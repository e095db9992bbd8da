"""The phases of a measurement, in their order, with nothing but the run between two readings of the clock."""

from __future__ import annotations

import gc
import io
import weakref
from pathlib import Path

import pytest

from daemons.worker.bench.measure import (
    MAX_WARMUP_NS,
    Instruments,
    Order,
    collector_off,
    is_warm,
    measure,
    warm_page_cache,
)
from daemons.worker.engines.base import EngineError, Facts, Inputs, LoadOptions, ProviderAbsent, Wishes

MS = 1_000_000
FACTS = Facts(providers=("FakeProvider",), threads=3)


class World:
    """An engine, a clock and a memory, which write down in `said` what is asked of them.

    The clock stands still but for loads and runs, which take what `times` says, in turn, over and over.
    """

    def __init__(self, times=(5 * MS,), load_ns=100 * MS):
        self.said = []
        self.times, self.load_ns = times, load_ns
        self.elapsed_ns, self.cpu_s, self.run_count = 0, 0.0, 0
        self.first_run_ns = None
        self.fails_at_run = None
        self.collector = []
        self.outputs = lambda: None
        self.output_lives = []
        self.phases_are_clean = True
        self.used = self.highest = 500
        self.needs = {"load": 900, "run": 700}
        self.facts = FACTS
        self.gpu = None

    def clock(self):
        self.said.append("clock")
        self.output_lives.append(self.outputs() is not None)
        return self.elapsed_ns

    def cpu_clock(self):
        return self.cpu_s

    def progress(self, phase, done, total):
        self.said.append(f"{phase} {done}/{total}")

    # a memory

    def now(self):
        self.said.append("memory now")
        return self.used

    def begin_phase(self):
        self.said.append("begin phase")
        if self.phases_are_clean:
            self.highest = self.used
        return self.phases_are_clean

    def peak(self):
        if self.said[-1] != "begin phase":  # what is read there is none of this phase's
            self.said.append("peak")
        return self.highest

    def spike(self, cause):
        self.highest = max(self.highest, self.needs[cause])

    # an engine

    def load(self, path, unit, options):
        self.said.append("load")
        self.loaded_with = (path, unit, options)
        self.collector.append(gc.isenabled())
        self.elapsed_ns += self.load_ns
        self.spike("load")
        return Model(self)


class Output:
    """Something that can be watched going away."""


class Model:
    def __init__(self, world):
        self.world = world
        self.first_run_ns = world.first_run_ns

    def facts(self):
        self.world.said.append("facts")
        return self.world.facts

    def inputs(self, seed, wishes):
        self.world.wished = wishes
        self.world.said.append(f"inputs of seed {seed}")
        return Inputs({"x": 1}, "x: 1 float32", {"x": "one"})

    def outputs(self, feed):
        self.world.said.append(f"outputs for {feed}")
        return {"y": "two"}

    def run(self, feed):  # noqa: ARG002 (the interface of a model)
        world = self.world
        world.said.append("run")
        world.collector.append(gc.isenabled())
        if world.fails_at_run == world.run_count:
            raise EngineError("out of luck")
        took = world.times[world.run_count % len(world.times)]
        world.run_count += 1
        world.spike("run")
        world.elapsed_ns += took
        world.cpu_s += 2 * took / 1e9
        output = Output()
        world.outputs = weakref.ref(output)
        return output

    def close(self):
        self.world.said.append("close")


@pytest.fixture
def measured(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"model")

    def measured(world, **counts):
        given = {"inference_runs": 3, "load_runs": 2, "warmup_runs": 2, "options": LoadOptions(), "seed": 7} | counts
        order = Order(path=str(path), unit="CPU (ONNX)", **given)
        return measure(order, world, Instruments(world.clock, world.cpu_clock, world, world.progress, world.gpu))

    return measured


def without(said, *words):
    return [word for word in said if word not in words]


def test_the_phases_come_in_their_order(measured):
    world = World()
    measured(world)
    assert without(world.said, "clock") == [
        "memory now",
        "loading 0/2",
        "begin phase",
        "load",
        "peak",
        "inputs of seed 7",
        "begin phase",
        "warming up 0/2",
        "run",
        "run",
        "measuring 0/3",
        "run",
        "measuring 1/3",
        "run",
        "measuring 2/3",
        "run",
        "measuring 3/3",
        "peak",
        "facts",
        "close",
        "loading again 1/2",
        "load",
        "close",
    ]


def test_nothing_is_between_two_readings_of_the_clock_but_the_run(measured):
    world = World()
    measured(world, inference_runs=20)
    for place, word in enumerate(world.said):
        if word in {"run", "load"}:
            assert world.said[place - 1] == "clock"
            assert world.said[place + 1] == "clock"


@pytest.mark.parametrize("count", [1, 10, 137])
def test_the_number_of_timed_runs_is_exact(measured, count):
    world = World()
    taken = measured(world, inference_runs=count, warmup_runs=4)
    assert len(taken.runs) == count
    assert world.run_count == 4 + count


def test_every_run_is_timed_alone(measured):
    taken = measured(World(times=(7 * MS, 1 * MS, 2 * MS, 3 * MS)), warmup_runs=1)
    assert (taken.warmups, taken.runs) == ([7 * MS], [1 * MS, 2 * MS, 3 * MS])
    assert taken.wall_s == pytest.approx(0.006)
    assert taken.cpu_s == pytest.approx(0.012), "of the timed runs alone"


def test_a_load_is_timed_without_what_comes_after_it(measured):
    taken = measured(World(load_ns=42 * MS), load_runs=5)
    assert taken.loads == [42 * MS] * 5


def test_one_load_is_enough(measured):
    world = World()
    assert len(measured(world, load_runs=1).loads) == 1
    assert world.said.count("load") == 1


def test_the_engine_is_told_what_was_ordered(measured, tmp_path):
    world = World()
    measured(world, options=LoadOptions(threads=3))
    assert world.loaded_with == (str(tmp_path / "model.onnx"), "CPU (ONNX)", LoadOptions(threads=3))


def test_the_model_is_told_what_the_job_wishes(measured):
    world, wishes = World(), Wishes(batch_size=4)
    measured(world, wishes=wishes)
    assert world.wished is wishes


def test_what_could_not_be_done_is_told(measured, monkeypatch):
    monkeypatch.setattr("daemons.worker.bench.coldfile.cool", lambda files: (f"still there: {len(list(files))}",))
    assert measured(World(), cold_file=True).notes == ("still there: 1",)
    assert measured(World()).notes == ()


class Gpu:
    """Writes down when it is read."""

    def __init__(self, world):
        self.world = world

    def after_load(self):
        self.world.said.append("GPU after the load")
        return {"GpuName": "G", "GpuMemoryAfterLoad": 1.0}

    def after_runs(self):
        self.world.said.append("GPU after the runs")
        return {"GpuMemoryAfterInference": 2.0}


def test_a_gpu_is_read_at_the_end_of_each_phase_and_never_in_between(measured):
    world = World()
    world.gpu = Gpu(world)
    assert measured(world).gpu == {"GpuName": "G", "GpuMemoryAfterLoad": 1.0, "GpuMemoryAfterInference": 2.0}
    said = without(world.said, "clock", "peak")
    assert said[said.index("load") + 1] == "GPU after the load"
    assert said[said.index("GPU after the runs") - 1] == "measuring 3/3"
    assert said.count("GPU after the load") == said.count("GPU after the runs") == 1


def test_what_ran_elsewhere_has_no_figures(measured):
    """The measuring was for nothing, and the model is let go of all the same."""
    world = World()
    world.facts = Facts(("Wanted", "Other"), (("Wanted", 1), ("Other", 3)))
    with pytest.raises(ProviderAbsent, match=r"Wanted took only 25\.0%.*Wanted 1, Other 3"):
        measured(world, placement="majority")
    assert world.said[-1] == "close"
    assert measured(world, placement="any").facts is world.facts


def test_outputs_are_made_when_nothing_is_measured_any_more_and_only_if_wanted(measured):
    world = World()
    taken = measured(world, keep_outputs=True)
    assert (taken.values, taken.outputs) == ({"x": "one"}, {"y": "two"})
    made = world.said.index("outputs for {'x': 1}")
    assert made > max(place for place, word in enumerate(world.said) if word in {"run", "peak"})
    unasked = measured(World())
    assert (unasked.values, unasked.outputs) == ({}, None)


def test_each_phase_has_a_peak_of_its_own(measured):
    taken = measured(World())
    assert (taken.baseline, taken.load_peak, taken.inference_peak) == (500, 900, 700)
    assert taken.peaks_are_per_phase


@pytest.mark.parametrize(("run_needs", "peak"), [(700, None), (1200, 1200)])
def test_where_peaks_cannot_be_reset_one_counts_if_it_rose_in_its_phase(measured, run_needs, peak):
    world = World()
    world.phases_are_clean = False
    world.needs["run"] = run_needs
    taken = measured(world)
    assert (taken.load_peak, taken.inference_peak) == (900, peak)
    assert not taken.peaks_are_per_phase


def test_the_collector_sleeps_while_it_is_timed_and_wakes_afterwards(measured):
    world = World()
    measured(world)
    assert world.collector
    assert not any(world.collector)
    assert gc.isenabled()


def test_the_collector_wakes_after_a_failure_too(measured):
    world = World()
    world.fails_at_run = 3
    with pytest.raises(EngineError):
        measured(world)
    assert gc.isenabled()


def test_garbage_of_before_is_gone_before_the_clock_starts():
    ring = Output()
    ring.self, gone = ring, weakref.ref(ring)
    del ring
    with collector_off():
        assert gone() is None


def test_outputs_live_until_the_clock_has_been_read_and_no_longer(measured):
    world = World()
    measured(world, warmup_runs=1, inference_runs=2)
    after_runs = [place for place, word in enumerate(without(world.said, *_not_clock_or_run(world))) if word == "run"]
    events = without(world.said, *_not_clock_or_run(world))
    lives = iter(world.output_lives)
    alive_at = [next(lives) if word == "clock" else None for word in events]
    for place in after_runs:
        assert alive_at[place - 1] is False, "those of the run before are gone"
        assert alive_at[place + 1] is True, "letting go of them is not in the figure"


def _not_clock_or_run(world):
    return {word for word in world.said if word not in {"clock", "run"}}


@pytest.mark.parametrize("failing_run", [0, 2, 4])
def test_a_failing_run_leaves_no_model_open(measured, failing_run):
    world = World()
    world.fails_at_run = failing_run
    with pytest.raises(EngineError, match="out of luck"):
        measured(world)
    assert world.said.count("close") == world.said.count("load") == 1


def test_as_many_models_are_closed_as_were_loaded(measured):
    world = World()
    measured(world, load_runs=6)
    assert world.said.count("close") == world.said.count("load") == 6
    order = [word for word in world.said if word in {"load", "close"}]
    assert order == ["load", "close"] * 6, "never are two in memory"


def test_the_very_first_run_is_the_first_of_all(measured):
    assert measured(World(times=(9 * MS, 1 * MS)), warmup_runs=1).first_run == 9 * MS
    assert measured(World(times=(9 * MS, 1 * MS)), warmup_runs=0).first_run == 9 * MS


def test_a_trial_run_before_the_warm_up_was_the_very_first(measured):
    world = World(times=(1 * MS,))
    world.first_run_ns = 33 * MS
    assert measured(world).first_run == 33 * MS


def test_no_warm_up_when_none_is_wanted(measured):
    assert measured(World(), warmup_runs=0).warmups == []


def test_as_many_warm_ups_as_are_wanted_however_unsteady(measured):
    assert len(measured(World(times=(1 * MS, 99 * MS)), warmup_runs=70).warmups) == 70


def test_steady_runs_need_five(measured):
    assert len(measured(World(), warmup_runs=None).warmups) == 5


def test_warming_up_goes_on_until_the_last_five_agree(measured):
    world = World(times=tuple(ms * MS for ms in (90, 50, 20, 10, 10, 10, 10, 10)))
    assert len(measured(world, warmup_runs=None).warmups) == 8


def test_runs_that_never_agree_are_warm_after_fifty(measured):
    assert len(measured(World(times=(1 * MS, 9 * MS)), warmup_runs=None).warmups) == 50


def test_slow_runs_are_warm_after_ten_seconds(measured):
    assert len(measured(World(times=(3000 * MS, 9000 * MS)), warmup_runs=None).warmups) == 2


def test_a_run_of_minutes_is_warmed_up_once(measured):
    assert len(measured(World(times=(60_000 * MS,)), warmup_runs=None).warmups) == 1


def test_a_package_is_read_file_by_file(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("builtins.open", lambda path, *_, **__: opened.append(Path(path).name) or io.BytesIO())
    package = tmp_path / "net.mlpackage"
    (package / "Data/weights").mkdir(parents=True)
    (package / "Manifest.json").touch()
    (package / "Data/weights/weight.bin").touch()
    warm_page_cache(str(package))
    assert sorted(opened) == ["Manifest.json", "weight.bin"]


def test_a_model_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(EngineError, match=r"The model can't be read: No such file or directory \(.*gone.onnx\)"):
        warm_page_cache(str(tmp_path / "gone.onnx"))


@pytest.mark.parametrize(
    ("taken", "elapsed_ns", "wanted", "warm"),
    [
        ([], MAX_WARMUP_NS, None, False),
        ([1], MAX_WARMUP_NS, None, True),
        ([1], MAX_WARMUP_NS - 1, None, False),
        ([100] * 4, 0, None, False),
        ([100] * 5, 0, None, True),
        ([100, 100, 100, 100, 110], 0, None, True),
        ([100, 100, 100, 100, 115], 0, None, False),
        ([500, 100, 100, 100, 100, 100], 0, None, True),
        ([100] * 5, 0, 6, False),
        ([100] * 6, 0, 6, True),
        ([], 0, 0, True),
    ],
)
def test_when_it_is_warm(taken, elapsed_ns, wanted, warm):
    """Five runs of 100, 100, 100, 100, 110 spread by 4.4 %, those with 115 by 6.5 %."""
    assert is_warm(taken, elapsed_ns, wanted) is warm
