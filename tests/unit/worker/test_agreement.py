"""The output check: what it compares with, how strictly, and what it makes of it; with engines made of numpy."""

from __future__ import annotations

from importlib import metadata

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from daemons.core.results import Measurement
from daemons.worker.bench import agreement
from daemons.worker.bench.agreement import COARSE, FULL, HALF, check_outputs, tolerance_of
from daemons.worker.bench.inputs import Value
from daemons.worker.engines.base import Engine, EngineError, LoadedModel

VALUES = {"x": Value(np.array([1.0, 2.0], np.float32), "float", (2,), is_sequence=False)}
Y = np.array([2.0, 4.0], np.float32)


class Reference(LoadedModel):
    """Gives the outputs that it was made with, one after the other."""

    def __init__(self, *outputs):
        self.given, self.is_closed = list(outputs), False

    def facts(self):
        raise NotImplementedError

    def inputs(self, seed, wishes=None):
        raise NotImplementedError

    def run(self, feed):
        raise NotImplementedError

    def feed(self, values):
        assert values is VALUES
        return "feed"

    def outputs(self, feed):
        assert feed == "feed"
        found = self.given.pop(0) if len(self.given) > 1 else self.given[0]
        if isinstance(found, Exception):
            raise found
        return found

    def close(self):
        self.is_closed = True


class Own(Engine):
    """Has a reference of its own."""

    name = "Own"
    units = ("CPU (Own)",)

    def __init__(self, reference):
        self.reference = reference

    def version(self):
        return "3.1"

    def load(self, path, unit, options):
        raise NotImplementedError

    def probe(self, unit):
        raise NotImplementedError

    def load_reference(self, path):  # noqa: ARG002 (it has one for every model)
        return self.reference


def checked(outputs, *expected, precision="float32"):
    reference = Reference(*expected)
    found = check_outputs("model.own", Own(reference), precision, VALUES, outputs)
    assert reference.is_closed
    return found


def test_equal_outputs_have_no_warning_and_no_psnr():
    found = checked({"y": Y}, {"y": Y})
    assert found.warnings == ()
    assert found.columns == {
        "OutputMaxAbsDiff": 0.0,
        "OutputMaxRelDiff": 0.0,
        "OutputsAgree": True,
        "OutputReference": "Own 3.1, CPU; tolerance 0.0001 of the largest value and 0.001 of each",
    }


def test_outputs_that_agree_are_told_in_figures_alone():
    found = checked({"y": Y * np.float32(1.0001)}, {"y": Y})
    assert found.warnings == ()
    assert found.columns["OutputMaxRelDiff"] == pytest.approx(1e-4, rel=1e-2)
    assert 70 < found.columns["OutputPsnr"] < 90
    assert found.columns["OutputsAgree"] is True


def test_outputs_that_differ_are_a_warning_with_the_figures():
    found = checked({"y": Y + 1, "z": Y}, {"y": Y, "z": Y})
    assert found.columns["OutputMaxAbsDiff"] == 1.0
    assert found.columns["OutputsAgree"] is False
    assert len(found.warnings) == 1
    assert "the output y differs from the reference's by up to 1, 0.5 of the value, PSNR 6.0 dB" in found.warnings[0]
    assert "0.0001 of the largest value" in found.warnings[0]


def test_the_worst_output_is_the_one_in_the_row():
    found = checked({"y": Y + 1, "z": Y + 3}, {"y": Y, "z": Y})
    assert found.columns["OutputMaxAbsDiff"] == 3.0
    assert found.columns["OutputPsnr"] == 0.0, "below 0 dB"
    assert len(found.warnings) == 2


def test_what_can_not_be_compared_has_no_figures():
    found = checked({"y": Y.reshape(1, 2)}, {"y": Y})
    assert list(found.columns) == ["OutputsAgree", "OutputReference"]
    assert found.columns["OutputsAgree"] is False
    assert found.warnings == (
        "the output y can't be compared with the reference's: its shape is [1, 2], and the reference's is [2]",
    )


def test_a_missing_output_is_a_warning():
    found = checked({"z": Y}, {"y": Y, "z": Y})
    assert found.warnings == ("the reference has an output y, which is missing",)
    assert found.columns["OutputMaxAbsDiff"] == 0.0
    assert list(checked({}, {"y": Y}).columns) == ["OutputsAgree", "OutputReference"]
    assert found.columns["OutputsAgree"] is False


def test_what_is_no_number_is_a_warning_even_where_the_reference_has_it_too():
    odd = np.array([[1.0, np.nan], [np.inf, -np.inf]], np.float32)
    found = checked({"y": odd, "z": Y}, {"y": odd, "z": Y})
    assert found.warnings == ("the output y holds 1 NaN and 2 infinite of 4 values",)
    assert found.columns["OutputMaxAbsDiff"] == 0.0


def test_what_is_no_number_is_counted_over_the_parts_of_a_sequence():
    odd = [np.array([np.nan], np.float16), np.array([1, 2]), np.array([np.nan, 1.0])]
    assert checked({"y": odd}, {"y": odd}).warnings == ("the output y holds 2 NaN and 0 infinite of 3 values",)


def test_a_model_that_draws_random_numbers_is_called_so():
    found = checked({"y": Y}, {"y": Y + 1}, {"y": Y + 2})
    assert len(found.warnings) == 2
    assert "random numbers" in found.warnings[1]


def test_a_reference_is_run_once_where_the_outputs_agree():
    """A second run would tell nothing."""
    assert checked({"y": Y}, {"y": Y}, AssertionError("run again")).warnings == ()


def test_a_reference_that_is_steady_is_not_called_random():
    assert "random" not in " ".join(checked({"y": Y}, {"y": Y + 1}).warnings)


@pytest.mark.parametrize(
    ("trouble", "told"), [(EngineError("no such operator."), "no such operator."), (MemoryError(), "out of memory")]
)
def test_a_reference_that_fails_is_a_warning_and_no_figure(trouble, told):
    """What was measured is measured: the row says that nothing was checked."""
    found = checked({"y": np.array([np.nan])}, trouble)
    assert found.columns == {}
    assert found.warnings == (
        "the output y holds 1 NaN and 0 infinite of 1 values",
        f"the outputs were not checked: {told}",
    )


def test_an_engine_without_a_reference_is_checked_by_onnx_runtime(tmp_path, monkeypatch):
    asked = []
    real = agreement.LoadOptions

    def options(**given):
        asked.append(given)
        return real(**given)

    monkeypatch.setattr(agreement, "LoadOptions", options)
    found = check_outputs(doubling(tmp_path), Own(None), None, VALUES, {"y": Y})
    assert found.warnings == ()
    assert found.columns["OutputReference"].startswith(
        f"ONNX Runtime {metadata.version('onnxruntime')}, CPU, graph as written; "
    )
    assert asked == [{"graph_optimization": "disabled"}]


def test_what_onnx_runtime_can_not_read_was_not_checked(tmp_path):
    (tmp_path / "m.bin").write_bytes(b"something else")
    found = check_outputs(str(tmp_path / "m.bin"), Own(None), None, VALUES, {"y": Y})
    assert found.columns == {}
    assert "not checked: The file is not an ONNX model" in found.warnings[0]


def doubling(tmp_path, weights=()):
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", info[:1], info[1:], list(weights))
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return str(path)


@pytest.mark.parametrize(
    ("precision", "types", "tolerance"),
    [
        ("float32", [], FULL),
        ("float64", ["double"], FULL),
        ("as written", ["float", "int64"], FULL),
        ("TF32", ["float"], HALF),
        ("float16", ["float"], HALF),
        ("as written", ["float16", "float"], HALF),
        (None, [], HALF),
        ("bfloat16", ["float"], COARSE),
        ("float32", ["bfloat16"], COARSE),
        ("as written", ["int8", "float"], COARSE),
        (None, ["uint4"], COARSE),
        ("float32", ["float8e4m3fn"], COARSE),
        ("something new", [], COARSE),
    ],
)
def test_the_narrowest_type_that_has_a_part_decides_how_far_off_is_too_far(precision, types, tolerance):
    assert tolerance_of(precision, types) == tolerance


def test_the_tolerances_widen_in_both_shares():
    assert FULL.of_largest < HALF.of_largest < COARSE.of_largest
    assert FULL.of_element < HALF.of_element < COARSE.of_element


def test_the_types_of_weights_and_inputs_are_looked_up(tmp_path):
    weight = numpy_helper.from_array(np.ones(2, np.float16), "w")
    assert "0.01 of the largest" in reference_of(doubling(tmp_path, [weight]))
    assert "0.0001 of the largest" in reference_of(doubling(tmp_path))
    half = {"x": VALUES["x"]._replace(element="float16")}
    assert agreement.types_in("model.own", half) == {"float16"}


def test_bytes_that_go_in_do_not_make_a_model_quantized(tmp_path):
    picture = {"x": VALUES["x"]._replace(element="uint8")}
    assert agreement.types_in(doubling(tmp_path), picture) == set()


def reference_of(path):
    return check_outputs(path, Own(None), "as written", VALUES, {"y": Y}).columns["OutputReference"]


def test_the_columns_are_those_of_a_row():
    found = checked({"y": Y + 1}, {"y": Y})
    names = dict(zip(Measurement.__struct_fields__, Measurement.__struct_encode_fields__, strict=True)).values()
    assert set(found.columns) <= set(names)
