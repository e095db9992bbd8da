"""Sessions: on their provider, or not at all; and what is set on them."""

import os
import subprocess
import sys

import onnxruntime as ort
import pytest

from daemons.core.units import CPU_ONNX, GPU_COREML, GPU_ONNX
from daemons.worker.engines import onnx_session, onnx_stderr
from daemons.worker.engines.base import EngineError, LoadOptions, ProviderAbsent
from daemons.worker.engines.onnx import OnnxRuntimeEngine
from daemons.worker.engines.onnx_session import (
    alone,
    have_libraries,
    make_session,
    providers_of,
    refusal,
    require_provider,
    session_options,
)
from daemons.worker.engines.onnx_stderr import MAX_BYTES, said_during
from daemons.worker.engines.onnx_units import CANDIDATES
from daemons.worker.engines.tiny import TINY_ONNX

CPU = CANDIDATES[CPU_ONNX][0]
CUDA, _, ROCM, DML = CANDIDATES[GPU_ONNX]
COREML = CANDIDATES[GPU_COREML][0]
ONE_THREAD = LoadOptions(threads=1)

no_cuda = pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="this runtime has CUDA")


@pytest.fixture
def silent(monkeypatch):
    """No word of the runtime about why it left a provider out."""
    monkeypatch.setattr(onnx_stderr, "words_about", lambda _placement: "")


def test_a_session_that_left_its_provider_out_is_an_error(silent):
    session = make_session(TINY_ONNX, CPU, ONE_THREAD)
    with pytest.raises(ProviderAbsent, match=r"CUDAExecutionProvider was left out.*would run on CPUExecutionProvider"):
        require_provider(session, CUDA)


def test_the_reason_is_heard_where_it_is_only_said_on_stderr(monkeypatch):
    words = "Failed to load library x with error: libcuda.so.1: cannot open shared object file"
    monkeypatch.setattr(onnx_stderr, "words_about", lambda _placement: words)
    session = make_session(TINY_ONNX, CPU, ONE_THREAD)
    with pytest.raises(ProviderAbsent, match="can't start on this device: there is no NVIDIA driver"):
        require_provider(session, CUDA)


@no_cuda
@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.parametrize("attempt", ["load", "probe"])
def test_a_runtime_that_lists_cuda_and_does_not_start_it_never_runs_on_the_processor(attempt, monkeypatch, tmp_path):
    """As onnxruntime-gpu does without a driver: the provider is listed, and the session is made on the CPU."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    (tmp_path / "m.onnx").write_bytes(TINY_ONNX)
    engine = OnnxRuntimeEngine()
    with pytest.raises(ProviderAbsent, match=r"^CUDAExecutionProvider (was left out|doesn't take every node)"):
        engine.load(str(tmp_path / "m.onnx"), GPU_ONNX, LoadOptions()) if attempt == "load" else engine.probe(GPU_ONNX)


def test_the_processor_is_listed_after_the_provider_where_it_may_help():
    assert providers_of(CUDA) == [("CUDAExecutionProvider", {"device_id": "0"}), "CPUExecutionProvider"]
    assert providers_of(CPU) == [("CPUExecutionProvider", {})]


def test_alone_means_that_the_runtime_itself_forbids_the_processor():
    placement, settings = alone(CUDA)
    assert [one[0] for one in providers_of(placement)] == ["CUDAExecutionProvider"]
    assert settings == {"session.disable_cpu_ep_fallback": "1"}
    assert alone(CPU) == (CPU, {}), "it can't forbid what it is asked for"


def test_directml_gets_the_session_that_it_asks_for():
    options = session_options(DML, ONE_THREAD)
    assert not options.enable_mem_pattern
    assert options.execution_mode == ort.ExecutionMode.ORT_SEQUENTIAL
    assert session_options(CUDA, ONE_THREAD).enable_mem_pattern


def test_settings_reach_the_session():
    options = make_session(TINY_ONNX, CPU, ONE_THREAD, settings={"session.x": "7"}).get_session_options()
    assert options.get_session_config_entry("session.x") == "7"


def test_the_libraries_of_cuda_are_loaded_once_and_for_cuda_alone(monkeypatch):
    calls = []
    monkeypatch.setattr(ort, "preload_dlls", lambda: calls.append(1), raising=False)
    have_libraries.cache_clear()
    for provider in ("CPUExecutionProvider", "CUDAExecutionProvider", "CUDAExecutionProvider"):
        have_libraries(provider)
    assert calls == [1]
    monkeypatch.delattr(ort, "preload_dlls")
    have_libraries.cache_clear()
    have_libraries("CUDAExecutionProvider")


@pytest.mark.parametrize(
    ("placement", "words", "kind", "told"),
    [
        (COREML, "The current system does not have Apple Neural Engine.", ProviderAbsent, "has no Neural Engine"),
        (CUDA, "CUDA failure 100: no CUDA-capable device is detected ; GPU=0", ProviderAbsent, "no NVIDIA GPU"),
        (CUDA, "fallback to CPU EP has been explicitly disabled by the user.", ProviderAbsent, "doesn't take every"),
        (ROCM, "Protobuf parsing failed.", EngineError, "could not load the model"),
    ],
)
def test_a_refusal_is_of_the_provider_or_of_the_model(placement, words, kind, told, silent):
    error = refusal(RuntimeError(words), placement)
    assert type(error) is kind
    assert told in str(error)


def test_what_native_code_writes_is_heard_and_stderr_is_as_before(capfd):
    assert said_during(lambda: os.write(2, b"why\n")) == "why\n"
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_hearing_survives_what_goes_wrong_and_what_never_ends():
    def failing():
        os.write(2, b"x" * (MAX_BYTES + 1))
        raise RuntimeError

    assert said_during(failing) == "x" * MAX_BYTES


@no_cuda
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_hearing_a_real_runtime_leaves_no_session_and_no_trace(capfd):
    assert isinstance(onnx_stderr.words_about(CUDA), str)
    assert capfd.readouterr().err == ""


def test_a_processor_job_loads_none_of_what_others_need():
    code = (
        "import sys; from daemons.worker.engines.onnx import OnnxRuntimeEngine;"
        "OnnxRuntimeEngine().probe('CPU (ONNX)'); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert onnx_session.__name__ in loaded
    others = {f"daemons.worker.engines.onnx_{name}" for name in ("proof", "coreml", "binding", "stderr")}
    assert not {*others, "tempfile", "coremltools"} & loaded
