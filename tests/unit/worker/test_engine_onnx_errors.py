"""What ONNX Runtime says, and what it means. The messages are the runtimes' own, as they were seen."""

import pytest

from daemons.worker.engines.onnx_errors import MAX_DETAIL, absence, is_left_to_cpu, sentence, shortened

CUDA_CALL = (
    "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 std::conditional_t<THRW, void, "
    "onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, const char*, SUCCTYPE, const char*, "
    "const char*, int) [with ERRTYPE = cudaError; bool THRW = true; SUCCTYPE = cudaError; std::conditional_t<THRW, "
    "void, common::Status> = void] CUDA failure {} ; GPU=-1 ; hostname=lab7 ; "
    "file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=355 ; "
    "expr=cudaSetDevice(info_.device_id); \n"
)
MISSING_DLL = (
    'Error loading "onnxruntime_providers_cuda.dll" which depends on "cublas64_12.dll" which is missing. '
    '(Error 126: "The specified module could not be found.")'
)
NO_DIRECTML = (
    "core\\providers\\dml\\dml_provider_factory.cc(518)\\onnxruntime.DLL!69: (caller: 69) Exception(1) tid(5df8) "
    "887A0004 The specified device interface or feature level is not supported on this system."
)
LEFT_TO_CPU = (
    "[ONNXRuntimeError] : 1 : FAIL : This session contains graph nodes that are assigned to the default CPU EP, "
    "but fallback to CPU EP has been explicitly disabled by the user."
)
NO_LIBRARY = (
    "[E:onnxruntime:Default, provider_bridge_ort.cc:2458 operator()] /src/core/session/provider_bridge_ort.cc:2043 "
    "onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library "
    "/home/ann/onnxruntime/capi/libonnxruntime_providers_x.so with error: {}: cannot open shared object file: "
    "No such file or directory"
)


def test_the_runtimes_words_are_kept_short_and_without_its_source():
    words = (
        "[ONNXRuntimeError] : 1 : FAIL : Exception during initialization: /onnxruntime_src/onnxruntime/core/a.cc:235 "
        "onnxruntime::Thing::Thing(const std::string&)::<lambda()> Failed to construct locale\n"
    )
    assert shortened(words) == "Exception during initialization: Failed to construct locale"
    assert len(shortened("x" * 5000)) == MAX_DETAIL


def test_neither_the_host_nor_its_folders_are_told():
    words = CUDA_CALL.format("700: an illegal memory access was encountered")
    assert shortened(words) == "CUDA failure 700: an illegal memory access was encountered"
    assert "/home/ann" not in shortened(NO_LIBRARY.format("libx.so"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("std::bad_alloc", "ran out of memory"),
        (
            "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : bfc_arena Failed to allocate memory for requested buffer",
            "memory",
        ),
        (CUDA_CALL.format("2: out of memory"), "ran out of memory"),
        (CUDA_CALL.format("209: no kernel image is available for execution on the device"), "generation"),
        (CUDA_CALL.format("700: an illegal memory access was encountered"), "GPU or its libraries failed"),
        ("CUDNN failure 5000: CUDNN_STATUS_EXECUTION_FAILED ; GPU=0", "GPU or its libraries failed"),
        ("x.cpp(91): Exception(3) tid(1) 887A0005 The GPU device instance has been suspended.", "driver gave up"),
        ("Error compiling model: Failed to parse the model specification.", "Core ML could not compile"),
        ("Error executing model: Unable to compute the prediction using ML Program.", "Core ML could not run"),
        ("Unknown option: AllowLowPrecisionAccumulationOnGPU", "doesn't know an option that this unit needs"),
        ("Invalid MIGraphX EP option: migraphx_model_cache_dir", "doesn't know an option that this unit needs"),
        ("[ONNXRuntimeError] : 1 : FAIL : something else", "could not run the model"),
    ],
)
def test_meanings_of_messages(words, told):
    assert told in sentence(RuntimeError(words), "run")
    assert absence(words) is None, "the provider is there, it is the run that failed"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (NO_LIBRARY.format("libcuda.so.1"), r"there is no NVIDIA driver (libcuda.so.1 is missing)."),
        (NO_LIBRARY.format("libcublasLt.so.13"), "libcublasLt.so.13 is missing; install CUDA and cuDNN"),
        (NO_LIBRARY.format("libcudnn.so.9"), "libcudnn.so.9 is missing; install CUDA and cuDNN"),
        (NO_LIBRARY.format("libnvrtc.so.12"), "libnvrtc.so.12 is missing; install CUDA and cuDNN"),
        (NO_LIBRARY.format("libmigraphx_c.so.3"), "libmigraphx_c.so.3 is missing; install ROCm and MIGraphX"),
        (NO_LIBRARY.format("libhipblas.so.3"), "libhipblas.so.3 is missing; install ROCm and MIGraphX"),
        (NO_LIBRARY.format("libother.so"), "the library libother.so is missing."),
        (MISSING_DLL, "cublas64_12.dll is missing"),
        (CUDA_CALL.format("35: CUDA driver version is insufficient for CUDA runtime version"), "driver is older"),
        (CUDA_CALL.format("100: no CUDA-capable device is detected"), "no NVIDIA GPU"),
        ("HIP failure 100: no ROCm-capable device is detected ; GPU=0", "no AMD GPU"),
        (NO_DIRECTML, "DirectML found no GPU"),
        ("The current system does not have Apple Neural Engine.", "this Mac has no Neural Engine"),
    ],
)
def test_a_provider_that_can_not_start_is_told_apart_from_a_model_that_can_not_be_loaded(words, told):
    assert told in str(absence(words))


def test_a_model_that_can_not_be_loaded_is_no_fault_of_the_provider():
    assert (
        absence("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from m.onnx failed: Protobuf parsing") is None
    )


def test_a_graph_that_needs_the_processor_is_told_apart():
    assert is_left_to_cpu(LEFT_TO_CPU)
    assert not is_left_to_cpu("[ONNXRuntimeError] : 1 : FAIL : something else")
