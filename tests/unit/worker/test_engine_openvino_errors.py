"""What OpenVINO says, in sentences: without places in its source, and without folders of this device."""

from __future__ import annotations

import pytest

from daemons.worker.engines.openvino_errors import MAX_DETAIL, sentence, shortened

CONVERSION = """Exception from src/inference/src/cpp/core.cpp:84:
Check 'false' failed at src/frontends/common_translators/src/unconverted_ops_report.cpp:151:
FrontEnd API failed with OpConversionFailure:
Model wasn't fully converted.
Summary:
-- No conversion rule found for operations: com.own.Own

"""
ALLOCATION = """Exception from src/inference/src/cpp/core.cpp:117:
Exception from src/inference/src/dev/plugin.cpp:54:
Exception from src/core/src/runtime/allocator.cpp:79:
std::bad_alloc
"""
SHAPES = """Exception from src/inference/src/cpp/infer_request.cpp:224:
Exception from src/plugins/intel_cpu/src/node.cpp:794:
[CPU] MatMul node with name 'y' Check 'k_lhs == k_rhs' failed at src/plugins/intel_cpu/src/custom/matmul.cpp:45:
Matmul input shapes are incompatible shape A: (2.3) shape B: (2.3)
"""


def test_what_is_noise_is_left_out():
    assert shortened(CONVERSION) == "No conversion rule found for operations: com.own.Own"
    assert shortened(SHAPES) == (
        "[CPU] MatMul node with name 'y' Matmul input shapes are incompatible shape A: (2.3) shape B: (2.3)"
    )


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('Could not open the file: "/var/lib/cache/ab12/w.bin"', 'Could not open the file: "w.bin"'),
        ("ExternalDataInfo(full_path: /tmp/x/w.bin, offset: 0)", "ExternalDataInfo(full_path: w.bin, offset: 0)"),
        (r"Could not open C:\Users\me\w.bin", "Could not open w.bin"),
        ("the ratio 1/2 and a/b stay", "the ratio 1/2 and a/b stay"),
    ],
)  # fmt: skip
def test_folders_of_this_device_are_left_out(text, left):
    assert shortened(text) == left


def test_a_long_story_is_cut():
    found = shortened("word " * 1000)
    assert len(found) <= MAX_DETAIL
    assert found.endswith("…")


@pytest.mark.parametrize(
    ("text", "doing", "told"),
    [
        (CONVERSION, "load", "The model uses an operator or a type that OpenVINO doesn't have. (OpenVINO: No"),
        (ALLOCATION, "load", "The device ran out of memory. (OpenVINO: std::bad_alloc)"),
        (ALLOCATION, "run", "The device ran out of memory."),
        (SHAPES, "run", "The model refused its inputs. (OpenVINO: [CPU] MatMul"),
        ("something else", "load", "OpenVINO could not load the model. (OpenVINO: something else)"),
        ("something else", "run", "OpenVINO could not run the model. (OpenVINO: something else)"),
        ("", "run", "OpenVINO could not run the model."),
    ],
)  # fmt: skip
def test_sentences(text, doing, told):
    assert sentence(RuntimeError(text), doing).startswith(told)


def test_memory_that_python_lacks_is_memory_too():
    assert sentence(MemoryError(), "load") == "The device ran out of memory."


def test_shapes_that_do_not_fit_while_loading_are_not_the_inputs_fault():
    assert "refused its inputs" not in sentence(RuntimeError(SHAPES), "load")
