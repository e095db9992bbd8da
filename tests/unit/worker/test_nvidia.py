"""NVIDIA's library: which GPU is meant, what its bits mean, and what is left out where it tells nothing."""

from __future__ import annotations

import pytest

from daemons.worker.bench import nvidia
from daemons.worker.bench.nvidia import NONE, NvidiaGpu, count_by_bus, gpu_for, is_throttled, throttle_reasons, visible

UUIDS = {"a": "GPU-11aa", "b": "GPU-22bb", "c": "GPU-2cc"}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, "abc"),
        ("0", "a"),
        ("2,0", "ca"),
        (" 1 , 2 ", "bc"),
        ("", ""),
        ("-1", ""),
        ("7", ""),
        ("1,7,0", "b"),
        ("GPU-22", "b"),
        ("GPU-2", ""),
        ("GPU-11aa,2", "ac"),
        ("MIG-5", ""),
    ],
    ids=repr,
)
def test_the_environment_decides_which_gpus_cuda_sees(said, found):
    """Numbers and beginnings of UUIDs; one that doesn't exist, or is not the only one, hides those after it."""
    assert visible(list("abc"), said, UUIDS.__getitem__) == list(found)


@pytest.mark.parametrize(
    ("bits", "words", "throttled"),
    [
        (0x0, NONE, False),
        (0x1, NONE, False),
        (0x4, "power cap", False),
        (0x5, "power cap", False),
        (0x44, "power cap, hardware thermal slowdown", True),
        (0x20, "software thermal slowdown", True),
        (0x80, "power brake", True),
        (0x8000, "reason 0x8000", False),
    ],
)
def test_what_holds_a_clock_down_is_said_in_words(bits, words, throttled):
    """A power cap is how a GPU is sold; heat and a lack of power are not."""
    assert throttle_reasons(bits) == words
    assert is_throttled(words) is throttled


def test_cuda_counts_gpus_by_their_place_on_the_bus_unless_somebody_decided():
    untouched, decided = {}, {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}
    count_by_bus(untouched)
    count_by_bus(decided)
    assert untouched == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert decided == {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}


@pytest.mark.parametrize("unit", ["CPU (ONNX)", "Neural Engine (CoreML)"])
def test_for_other_units_nothing_is_asked(unit, monkeypatch):
    monkeypatch.setattr(nvidia, "first_gpu", lambda: pytest.fail("asked"))
    assert gpu_for(unit) is None


class OldLibrary:
    """As pynvml 11 had it: texts are bytes, reasons have their old name, and newer calls are missing."""

    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0

    class NVMLError(Exception):
        pass

    def nvmlSystemGetDriverVersion(self):  # noqa: N802 (its name)
        return b"470.1"

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return f"Tesla {handle}".encode()

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        raise self.NVMLError(handle)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):  # noqa: N802
        return 0x4 if handle else 0


def test_an_old_library_tells_what_it_can_and_the_rest_is_left_out():
    gpu = NvidiaGpu(OldLibrary(), "T4")
    assert gpu.after_load() == {"GpuName": "Tesla T4", "GpuDriver": "470.1"}
    assert gpu.after_runs() == {"GpuThrottleReasons": "power cap"}
    assert gpu.described() == "Tesla T4, driver 470.1"
    assert gpu.conditions()["gpu_temperature_c"] is None
