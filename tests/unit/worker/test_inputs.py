"""Inputs for models of which only the signature is known: shapes that mean something, values that are safe."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemons.worker.bench import inputs as inputs_module
from daemons.worker.bench.dimensions import sizes_from_metadata, terms, value_of
from daemons.worker.bench.guesses import Spec
from daemons.worker.bench.inputs import fitting_inputs
from daemons.worker.bench.values import CHUNK, INTEGERS, KINDS, random_values
from daemons.worker.engines.base import EngineError, Wishes


def accept(values):
    """A model that takes anything."""


def made(*specs, attempt=accept, seed=0, metadata=None, **wishes):
    specs = [Spec(name, f"tensor({element})", shape) for name, element, shape in specs]
    return fitting_inputs(specs, attempt, seed, metadata=metadata or {}, wishes=Wishes(**wishes))


def shapes_of(*specs, **more):
    return [value.shape for value in made(*specs, **more).values.values()]


def wants(**shapes):
    """A model that takes these shapes alone."""

    def attempt(values):
        for name, shape in shapes.items():
            if values[name].shape != shape:
                raise EngineError(f"wrong shape for {name}")

    return attempt


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (("pixel_values", "float", ("batch", 3, "height", "width")), (1, 3, 224, 224)),
        (("x", "float", (None, 3, None, None)), (1, 3, 224, 224)),
        (("x", "float", ("?", 3, "?", "?")), (1, 3, 224, 224)),
        (("x", "float", ("N", None, None, 3)), (1, 224, 224, 3)),
        (("x", "uint8", (None, None, None, 3)), (1, 224, 224, 3)),
        (("x", "float", ("batch", 1, 64, "width")), (1, 1, 64, 64)),
        (("x", "float", (3, "height", "width")), (3, 224, 224)),
        (("x", "float", ("B", "T", 3, None, None)), (1, 128, 3, 224, 224)),
        (("input_ids", "int64", ("batch", "seq_len")), (1, 128)),
        (("input_ids", "int64", ("batch_size", "sequence_length")), (1, 128)),
        (("input_ids", "int64", (None, None)), (1, 128)),
        (("input_ids", "int64", ("input_ids_dim_0", "input_ids_dim_1")), (1, 128)),
        (("audio", "float", ("batch", "samples")), (1, 16_000)),
        (("waveform", "float", (None, None)), (1, 16_000)),
        (("waveform", "float", (None,)), (16_000,)),
        (("mel", "float", ("batch", 80, "frames")), (1, 80, 128)),
        (("features", "float", ("batch", "time", 40)), (1, 128, 40)),
        (("hidden_state", "float", (2, None, 128)), (2, 1, 128)),
        (("x", "float", ("batch", 10)), (1, 10)),
        (("x", "float", (2, 3)), (2, 3)),
        (("x", "float", (0, 4)), (0, 4)),
    ],
)
def test_dimensions_are_settled_by_name_and_layout(spec, expected):
    assert shapes_of(spec) == [expected]


def test_one_name_is_one_size_in_all_inputs():
    result = shapes_of(("a", "int64", ("batch", "seq")), ("b", "float", ("seq", "batch", "seq")))
    assert result == [(1, 128), (128, 1, 128)]


def test_names_that_are_sums_follow_their_parts():
    result = shapes_of(
        ("input_ids", "int64", ("batch", "sequence_length")),
        ("attention_mask", "int64", ("batch", "past_sequence_length + sequence_length")),
        ("past_key_values.0.key", "float", ("batch", 12, "past_sequence_length", 64)),
    )
    assert result == [(1, 128), (1, 128), (1, 12, 0, 64)]


def test_metadata_comes_before_names():
    spec = ("images", "float", ("batch", 3, "height", "width"))
    assert shapes_of(spec, metadata={"imgsz": "[640, 480]", "batch": "4"}) == [(4, 3, 640, 480)]
    assert shapes_of(spec, metadata={"images": "(2, 3, 96, 128)"}) == [(2, 3, 96, 128)]
    assert shapes_of(spec, metadata={"images": "(2, 4, 96, 128)"}) == [(1, 3, 224, 224)], "it contradicts the model"


@pytest.mark.parametrize("text", ["true", "-3", "0", "1.5", "nonsense", "[1", "99999999999"])
def test_metadata_that_is_no_size_is_left_alone(text):
    assert sizes_from_metadata({"batch": text, "imgsz": text}) == {}


def test_other_shapes_are_tried_until_the_model_accepts():
    tried = []

    def attempt(values):
        tried.append(values["x"].shape)
        wants(x=(1, 3, 320, 320))(values)

    result = made(("x", "float", ("batch", 3, "height", "width")), attempt=attempt)
    assert result.shapes == "x: 1x3x320x320 float32"
    assert tried[0] == (1, 3, 224, 224)
    assert result.first_run_ns is not None, "the first run that succeeded is the first, whatever was refused before"


def test_a_line_of_text_is_tried_for_readers():
    spec = ("x", "float", ("b", 3, "?", "?"))
    assert shapes_of(spec, attempt=wants(x=(1, 3, 48, 320))) == [(1, 3, 48, 320)]


def test_a_sound_model_is_known_by_its_sample_rate():
    result = made(("input", "float", ("batch", "sequence")), ("sr", "int64", ()), ("state", "float", (2, None, 128)))
    assert [value.shape for value in result.values.values()] == [(1, 16_000), (), (2, 1, 128)]
    assert result.values["sr"].array == 16_000


def test_what_is_fixed_is_not_tried_out():
    runs = []
    made(("x", "float", (1, 3, 8, 8)), ("ids", "int64", (1, 16)), attempt=runs.append)
    assert not runs, "the model's first run belongs to the measurement"


def test_the_first_run_is_timed_when_it_was_needed():
    assert made(("x", "float", ("batch", 4))).first_run_ns is not None


@pytest.mark.parametrize(
    "wanted", [[1, 1, 1], [0, 0, 0], [-1, 1, 1], [0, 1, 2]], ids=["ones", "zeros", "whatever fits", "counting"]
)
def test_short_lists_of_numbers_are_varied(wanted):
    def attempt(values):
        if values["axes"].array.tolist() != wanted:
            raise EngineError("no")

    assert made(("x", "float", (2, 3, 4)), ("axes", "int64", (3,)), attempt=attempt)


def test_a_scalar_may_be_of_any_rank():
    assert shapes_of(("x", "float", ()), attempt=wants(x=(1, 3, 224, 224))) == [(1, 3, 224, 224)]


def test_a_model_that_refuses_everything_is_told_with_its_signature():
    def attempt(values):
        raise EngineError("I want the moon")

    with pytest.raises(EngineError) as refusal:
        made(("x", "float", ("batch", None, 7)), ("n", "int32", ()), attempt=attempt)
    text = str(refusal.value)
    assert "x: tensor(float) [batch, ?, 7]; n: tensor(int32) []" in text
    assert "I want the moon (with x: 1x128x7 float32; n: scalar int32)" in text


def test_trials_end(monkeypatch):
    monkeypatch.setattr(inputs_module, "MAX_TRIALS", 3)
    tried = []

    def attempt(values):
        tried.append(values)
        raise EngineError("no")

    with pytest.raises(EngineError, match="3 shapes and values were tried"):
        made(("x", "float", ("batch", "seq")), attempt=attempt)
    assert len(tried) == 3


def test_an_error_that_is_no_refusal_is_not_swallowed():
    def attempt(values):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        made(("x", "float", ("batch",)), attempt=attempt)


@pytest.mark.parametrize("type_", ["map(string,tensor(float))", "tensor(nonsense)", "sparse_tensor(float)"])
def test_types_that_nothing_can_be_made_for_are_told(type_):
    with pytest.raises(EngineError, match="inputs can be made for"):
        fitting_inputs([Spec("x", type_, (1,))], accept, 0, metadata={})


def test_sequences_and_optionals_are_marked():
    specs = [Spec("s", "seq(tensor(float))", ()), Spec("o", "optional(tensor(float))", ())]
    result = fitting_inputs(specs, accept, 0, metadata={})
    assert [value.is_sequence for value in result.values.values()] == [True, False]
    assert result.shapes == "s: a sequence of one scalar float32; o: scalar float32"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (("attention_mask", "int64", (1, 3)), [[1, 1, 1]]),
        (("position_ids", "int64", (1, 3)), [[0, 1, 2]]),
        (("cache_position", "int64", (3,)), [0, 1, 2]),
        (("audio_lengths", "int64", (1,)), [500]),
        (("length", "int32", ()), 500),
        (("sample_rate", "int32", (1,)), [16_000]),
        (("sampling_rate", "float", ()), 16_000.0),
        (("num_beams", "int32", (1,)), [1]),
        (("orig_target_sizes", "int64", (1, 2)), [[32, 48]]),
        (("mask", "bool", (1, 2)), [[True, True]]),
        (("src_key_padding_mask", "bool", (1, 2)), [[False, False]]),
        (("lengths", "uint8", (1,)), [255]),
    ],
)
def test_names_that_say_what_they_hold_get_it(spec, expected):
    result = made(spec, ("speech", "float", (1, 500)), ("image", "float", (1, 3, 32, 48)))
    assert result.values[spec[0]].array.tolist() == expected


@pytest.mark.parametrize("element", sorted(KINDS))
def test_every_type_has_values_that_depend_on_seed_and_place_alone(element):
    kind = KINDS[element]
    first = random_values(kind, (3, 41), 5, 0)
    assert first.dtype == kind.dtype
    assert first.tolist() == random_values(kind, (3, 41), 5, 0).tolist()
    assert first.tolist() != random_values(kind, (3, 41), 6, 0).tolist()
    assert first.tolist() != random_values(kind, (3, 41), 5, 1).tolist()
    assert first.size == -(-3 * 41 // kind.per_byte)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,)])
@pytest.mark.parametrize("element", sorted(KINDS))
def test_scalars_and_empty_shapes_have_values(element, shape):
    kind = KINDS[element]
    values = random_values(kind, shape, 0, 0)
    assert kind.per_byte > 1 or values.shape == shape


@pytest.mark.parametrize("element", ["float", "double", "float16"])
def test_floats_are_normal_numbers_between_a_sixteenth_and_one(element):
    values = random_values(KINDS[element], (5000,), 0, 0).astype(np.float64)
    assert values.min() >= 0.0625
    assert values.max() <= 1
    assert 0.5 < values.mean() < 0.56
    assert len(np.unique(values)) > 1000


@pytest.mark.parametrize("element", sorted(INTEGERS))
def test_whole_numbers_are_zero_or_one(element):
    assert set(random_values(KINDS[element], (500,), 0, 0).tolist()) == {0, 1}


def test_large_inputs_are_made_in_pieces_that_join_without_a_seam():
    whole = random_values(KINDS["float"], (3 * CHUNK + 5,), 0, 0)
    assert whole[:10].tolist() == random_values(KINDS["float"], (10,), 0, 0).tolist()
    assert len(np.unique(whole)) > 2.9 * CHUNK


def test_the_bytes_are_the_same_on_every_machine():
    assert random_values(KINDS["float"], (4,), 1, 0).tobytes().hex() == "b0223a3f339e753fee523b3f663ad33e"


@given(st.integers(), st.integers(0, 1000))
def test_any_seed_is_taken(seed, stream):
    assert random_values(KINDS["int64"], (4,), seed, stream).shape == (4,)


@pytest.mark.parametrize(
    ("text", "names", "value"),
    [
        ("a + 1", ("a",), 11),
        ("a + b", ("a", "b"), 13),
        ("a - b", ("a", "b"), 7),
        ("b - a", ("b", "a"), 0),
        ("2*a", ("a",), 20),
        ("a//3", ("a",), 3),
        ("a*b + 1", ("a", "b"), 31),
    ],
)
def test_expressions_among_dimension_names(text, names, value):
    assert terms(text) == names
    assert value_of(text, {"a": 10, "b": 3}) == value


@pytest.mark.parametrize("name", ["time-step", "unk__17", "floor(a/2)", "a (b)"])
def test_names_that_only_look_like_expressions_stay_whole(name):
    assert terms(name) == (name,)
    assert value_of(name, {name: 7}) == 7


def test_making_inputs_loads_no_random_library():
    """`numpy.random` would stand in every peak with 7 MB."""
    code = (
        "import sys, daemons.worker.bench.inputs as i; from daemons.worker.bench.guesses import Spec;"
        "i.fitting_inputs([Spec('x', 'tensor(float)', (2, 3))], None, 0, metadata={});"
        "print(*{'numpy.random', 'asyncio', 'onnxruntime', 'onnx'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
