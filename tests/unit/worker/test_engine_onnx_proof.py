"""Where a model's nodes are: told by the runtime's record, by what it takes without the processor, by its profile.

The processor stands in for a provider that runs kernels; a runtime of this age keeps a record, so the older witnesses
are asked directly. Each was also seen with ONNX Runtime 1.20 and 1.22, which keep none.
"""

import json

import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from daemons.core.units import CPU_ONNX, GPU_ONNX
from daemons.worker.engines import onnx_proof
from daemons.worker.engines.base import EngineError, Facts, LoadOptions
from daemons.worker.engines.onnx import OnnxModel
from daemons.worker.engines.onnx_proof import (
    Proof,
    Subject,
    events_in,
    executed_nodes,
    forbids_cpu,
    is_alone,
    node_counts,
    profiled,
    proof_of,
    recorded,
)
from daemons.worker.engines.onnx_session import make_session
from daemons.worker.engines.onnx_units import CANDIDATES, Placement, Precision
from daemons.worker.engines.tiny import TINY_ONNX

CPU = "CPUExecutionProvider"
KERNELS_HERE = CANDIDATES[CPU_ONNX][0]._replace(kernels={})
ONE_THREAD = LoadOptions(threads=1)

keeps_record = pytest.mark.skipif(
    not hasattr(ort.InferenceSession, "get_provider_graph_assignment_info"), reason="this ONNX Runtime keeps no record"
)


def feed_of(model):
    return OnnxModel(model, KERNELS_HERE, ONE_THREAD).inputs(seed=0).feed


def subject(model=TINY_ONNX, placement=KERNELS_HERE, *, runs=True):
    feed = feed_of(model) if runs else None
    run = (lambda session: session.run(None, feed)) if runs else None
    return Subject(model, placement, ONE_THREAD, (placement.provider, CPU), run)


def a_loop():
    """Three nodes: a loop of five rounds, an addition inside it, another one after it. Two more are no arithmetic."""
    value, scalar, yes = (
        helper.make_tensor_value_info(name, type_, shape)
        for name, type_, shape in (
            ("x", TensorProto.FLOAT, [2]),
            ("i", TensorProto.INT64, []),
            ("c", TensorProto.BOOL, []),
        )
    )
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    body = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"], "inner"), helper.make_node("Identity", ["c"], ["c2"], "on")],
        "body",
        [scalar, yes, value],
        [helper.make_tensor_value_info("c2", TensorProto.BOOL, []), out],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Loop", ["n", "", "start"], ["grown"], "loop", body=body),
            helper.make_node("Mul", ["grown", "grown"], ["end"], "outer"),
        ],
        "test",
        [helper.make_tensor_value_info("start", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("end", TensorProto.FLOAT, [2])],
        [helper.make_tensor("n", TensorProto.INT64, [], [5])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@keeps_record
def test_the_record_counts_the_nodes_of_each_provider():
    assert recorded(subject()) == ((CPU, 1),)


@keeps_record
def test_the_record_is_asked_first(monkeypatch):
    monkeypatch.setattr(onnx_proof, "is_alone", lambda _subject: pytest.fail("nothing is left to be found out"))
    assert proof_of(subject()) == Proof((CPU, CPU), ((CPU, 1),))


def test_a_runtime_that_keeps_no_record_is_not_asked_for_it(monkeypatch):
    asking = "get_provider_graph_assignment_info"
    for owner in (one for one in ort.InferenceSession.__mro__ if asking in vars(one)):
        monkeypatch.delattr(owner, asking)
    assert recorded(subject()) == ()
    assert node_counts(object()) == ()


def test_without_a_record_the_profile_tells(monkeypatch):
    monkeypatch.setattr(onnx_proof, "recorded", lambda _subject: ())
    monkeypatch.setattr(onnx_proof, "is_alone", lambda _subject: False)
    assert proof_of(subject()) == Proof((CPU, CPU), ((CPU, 1),))


def test_the_profile_is_of_a_run_with_the_jobs_own_inputs(monkeypatch):
    if "AzureExecutionProvider" not in ort.get_available_providers():
        pytest.skip("this build of ONNX Runtime has no second provider")
    monkeypatch.setattr(onnx_proof, "recorded", lambda _subject: ())
    other = Placement(GPU_ONNX, "AzureExecutionProvider", {None: Precision("?")}, kernels={})
    model = OnnxModel(TINY_ONNX, other, ONE_THREAD)
    assert model.facts().nodes == (), "there are no inputs yet"
    model.inputs(seed=0)
    assert model.facts().nodes == ((CPU, 1),)


def test_a_graph_that_is_taken_without_the_processor_is_all_on_the_provider(monkeypatch):
    monkeypatch.setattr(onnx_proof, "recorded", lambda _subject: ())
    monkeypatch.setattr(onnx_proof, "is_alone", lambda _subject: True)
    proof = proof_of(subject(placement=CANDIDATES[GPU_ONNX][0]))
    assert proof == Proof(("CUDAExecutionProvider",))
    assert Facts(proof.providers, proof.nodes).provider_share == 1.0


def test_this_runtime_forbids_the_processor_when_it_is_told_to():
    assert forbids_cpu()


def test_a_runtime_that_ignores_the_setting_proves_nothing_by_it(monkeypatch):
    """It would take any graph."""
    monkeypatch.setattr(onnx_proof, "NO_CPU", "session.of_another_age")
    assert not forbids_cpu()
    assert not is_alone(subject())


def test_a_node_on_the_processor_is_found_by_forbidding_it():
    if "AzureExecutionProvider" not in ort.get_available_providers():
        pytest.skip("this build of ONNX Runtime has no second provider")
    assert not is_alone(subject(placement=Placement(GPU_ONNX, "AzureExecutionProvider", {None: Precision("?")})))


def test_the_profile_counts_what_ran():
    assert profiled(subject(a_loop())) == ((CPU, 4),), "the loop, the two nodes in it, and one after it"


def test_the_profile_is_removed(monkeypatch):
    read = []
    monkeypatch.setattr(onnx_proof, "events_in", lambda path: read.append(path) or events_in(path))
    profiled(subject())
    with pytest.raises(EngineError, match="profile can't be read"):
        events_in(read[0])


def test_a_provider_that_makes_one_kernel_of_many_nodes_is_not_counted_by_them():
    assert profiled(subject(placement=KERNELS_HERE._replace(kernels=None))) == ()


def test_nothing_is_counted_before_there_are_inputs():
    assert profiled(subject(runs=False)) == ()


def test_a_run_that_fails_under_the_profile_is_told():
    def fails(session):
        session.run(None, {"wrong": 1})

    with pytest.raises(EngineError, match="ONNX Runtime could not run the model"):
        profiled(subject()._replace(run=fails))


def test_a_proof_that_can_not_be_made_is_noted_and_not_raised():
    missing = subject()._replace(placement=CANDIDATES[CPU_ONNX][0], model=b"no model")
    proof = proof_of(missing)
    assert proof.nodes == ()
    assert "could not be found out: The file is not an ONNX model" in proof.notes[0]
    assert Facts(proof.providers, proof.nodes).provider_share is None or len(set(proof.providers)) == 1


def test_settings_of_the_profile_reach_the_session(monkeypatch):
    seen = {}

    def watched(*arguments, settings=None, **more):
        seen.update(settings or {})
        return make_session(*arguments, settings=settings, **more)

    monkeypatch.setattr(onnx_proof, "make_session", watched)
    profiled(subject(placement=KERNELS_HERE._replace(kernels={"ep.x": "1"})))
    assert seen == {"ep.x": "1"}


def event(name, provider, op="Add", index="0", cat="Node"):
    return {"cat": cat, "name": name, "args": {"provider": provider, "op_name": op, "node_index": index}}


def test_what_a_profile_says_is_read_with_care():
    events = [
        event("a_kernel_time", "CUDA"),
        event("a_kernel_time", "CUDA"),
        event("b_kernel_time", "CUDA", index="1"),
        event("c_kernel_time", CPU),
        event("a_fence_before", "CUDA"),
        event("model_run", "CUDA", cat="Session"),
        event("copy_kernel_time", "CUDA", op="MemcpyFromHost"),
        event("copy2_kernel_time", "CUDA", op="MemcpyToHost"),
        event("gemm_kernel_time", "CUDA", cat="Kernel"),
        {"cat": "Node", "name": "d_kernel_time", "args": {"op_name": "Add"}},
        {"cat": "Kernel", "name": "void gemm_kernel_time"},
        {},
    ]
    assert dict(executed_nodes(events)) == {"CUDA": 2, CPU: 1}
    assert executed_nodes([]) == ()


@pytest.mark.parametrize("content", ["", "[{", '{"a": '])
def test_a_profile_that_is_cut_off_is_told(tmp_path, content):
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(EngineError, match="profile can't be read"):
        events_in(str(tmp_path / "p.json"))


def test_a_profile_is_read_as_it_is(tmp_path):
    (tmp_path / "p.json").write_text(json.dumps([event("a_kernel_time", "CUDA")]))
    assert executed_nodes(events_in(str(tmp_path / "p.json"))) == (("CUDA", 1),)
