"""What a job says about inputs is done as said, or refused in a sentence that tells what the model takes."""

import json
import re

import numpy as np
import pytest

from daemons.worker.bench import inputs as inputs_module
from daemons.worker.bench.guesses import Spec
from daemons.worker.bench.inputs import fitting_inputs
from daemons.worker.bench.narrow import limits_of, narrowed
from daemons.worker.bench.values import KINDS
from daemons.worker.bench.wanted import WHOLE, checked_range, wished_values
from daemons.worker.engines.base import EngineError, Wish, Wishes

TOKENS = ("tokens", "int64", ("batch", "seq"))
MASK = ("mask", "int64", ("batch", "seq"))
PAST = ("past", "float", ("batch", 12, "past + seq", 64))
PICTURE = ("x", "float", ("batch", 3, "h", "w"))


def accept(values):
    """A model that takes anything."""


def refuse(values):
    raise EngineError("I want the moon")


def made(*specs, attempt=accept, seed=0, metadata=None, **wishes):
    specs = [Spec(name, f"tensor({element})", shape) for name, element, shape in specs]
    return fitting_inputs(specs, attempt, seed, metadata=metadata or {}, wishes=Wishes(**wishes))


def shapes_of(*specs, **more):
    return [value.shape for value in made(*specs, **more).values.values()]


def array_of(*specs, **more):
    return next(iter(made(*specs, **more).values.values())).array


# Shapes


def test_a_said_shape_is_used_and_tried_once():
    runs = []
    result = made(PICTURE, attempt=runs.append, given={"x": Wish(shape=(2, 3, 64, 96))})
    assert result.values["x"].shape == (2, 3, 64, 96)
    assert result.shapes == "x: 2x3x64x96 float32"
    assert len(runs) == 1
    assert result.first_run_ns is not None


def test_a_said_size_holds_wherever_its_name_stands():
    assert shapes_of(TOKENS, MASK, PAST, given={"tokens": Wish(shape=(4, 50))}) == [(4, 50), (4, 50), (4, 12, 50, 64)]


def test_a_said_size_is_not_varied():
    tried = []

    def attempt(values):
        tried.append(values["x"].shape)
        raise EngineError("no")

    with pytest.raises(EngineError):
        made(PICTURE, ("n", "int64", ("batch",)), attempt=attempt, given={"n": Wish(shape=(5,))})
    assert len(tried) > 5
    assert {shape[0] for shape in tried} == {5}


def test_a_size_that_is_known_of_a_picture_is_guessed_for_its_other_side():
    assert shapes_of(("y", "float", ("h",)), PICTURE, given={"y": Wish(shape=(320,))})[1] == (1, 3, 320, 320)


def test_each_input_keeps_its_own_said_shape_where_they_disagree():
    given = {"tokens": Wish(shape=(1, 8)), "mask": Wish(shape=(1, 9))}
    assert shapes_of(TOKENS, MASK, given=given) == [(1, 8), (1, 9)]


def test_no_dimensions_mean_a_scalar_when_they_are_said():
    with pytest.raises(EngineError, match="refuses the inputs that the job gives"):
        made(("x", "float", ()), attempt=refuse, given={"x": Wish(shape=())})
    assert shapes_of(("x", "float", ()), given={"x": Wish(shape=(2, 3))}) == [(2, 3)], "the runtime's 'any shape'"


def test_a_said_shape_comes_before_metadata():
    assert shapes_of(PICTURE, metadata={"x": "1,3,64,64"}, given={"x": Wish(shape=(1, 3, 8, 8))}) == [(1, 3, 8, 8)]


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (1, 3, 8), (), (1, 3, 8, 8, 1)])
def test_a_shape_that_contradicts_the_model_is_refused_by_name(shape):
    told = re.escape(f"inputs.x.shape: is {list(shape)}, and the model's input is x: tensor(float) [batch, 3, h, w].")
    with pytest.raises(EngineError, match=told):
        made(PICTURE, given={"x": Wish(shape=shape)})


def test_a_shape_that_no_computer_holds_is_refused():
    with pytest.raises(EngineError, match="x would have 1,152,921,504,606,846,976 elements"):
        made(("x", "float", ("a", "b")), given={"x": Wish(shape=(2**30, 2**30))})


def test_a_name_that_the_model_does_not_have_is_told_with_those_that_it_has():
    with pytest.raises(EngineError, match=r"inputs\.token: .*did you mean tokens\? Its inputs are tokens: .*; mask: "):
        made(TOKENS, MASK, given={"token": Wish(shape=(1, 8))})


def test_what_the_model_refuses_is_told_with_its_answer_and_its_inputs():
    with pytest.raises(EngineError) as refusal:
        made(TOKENS, attempt=refuse, given={"tokens": Wish(shape=(1, 8))})
    text = str(refusal.value)
    assert "The model refuses the inputs that the job gives" in text
    assert "tokens: tensor(int64) [batch, seq]" in text
    assert "I want the moon (with tokens: 1x8 int64)" in text


def test_a_model_whose_inputs_can_not_be_guessed_comes_with_an_example_to_copy():
    with pytest.raises(EngineError) as refusal:
        made(TOKENS, ("w", "float", (3, 4)), ("any", "float", ()), attempt=refuse)
    fragment = re.search(r'for example ("inputs": \{.*\}\})\.', str(refusal.value))
    example = json.loads("{" + fragment[1] + "}")["inputs"]
    assert example == {"tokens": {"shape": [1, 128]}, "any": {"shape": [1, 128]}}


def test_a_model_with_very_many_inputs_is_told_in_a_few_lines(monkeypatch):
    monkeypatch.setattr(inputs_module, "MAX_TRIALS", 1)
    with pytest.raises(EngineError) as refusal:
        made(*((f"past_key_values.{n}.key", "float", ("batch", 8, "past", 64)) for n in range(200)), attempt=refuse)
    assert "and 176 more" in str(refusal.value)
    assert len(str(refusal.value).split("To the first it said")[0]) < 3000


# Batch


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ((TOKENS, MASK), [(4, 128), (4, 128)]),
        ((PICTURE,), [(4, 3, 224, 224)]),
        ((("x", "float", (None, 3, None, None)),), [(4, 3, 224, 224)]),
        ((("x", "float", ("unk__6", 10)),), [(4, 10)]),
        ((("x", "float", ("seq", "N", 16)),), [(128, 4, 16)]),
        ((("x", "float", (None, None)), ("state", "float", (2, None, 128)), ("sr", "int64", ())), None),
        ((("x", "float", (4, 8)),), [(4, 8)]),
        ((("x", "float", ("batch", 8)), ("y", "float", ("2*batch", 8))), [(4, 8), (8, 8)]),
    ],
)
def test_the_batch_size_goes_where_the_batch_is_open(specs, expected):
    assert shapes_of(*specs, batch_size=4) == (expected or [(4, 16_000), (2, 4, 128), ()])


def test_the_batch_size_comes_before_metadata():
    assert shapes_of(PICTURE, metadata={"batch": "1", "x": "1,3,64,64"}, batch_size=4) == [(4, 3, 64, 64)]


@pytest.mark.parametrize(
    "specs",
    [
        (("x", "float", (1, 3, 8, 8)),),
        (("x", "float", (1, 8)), ("axes", "int64", (None,))),
        (("n", "int64", ()),),
        (("x", "float", (3, "height", "width")),),
    ],
    ids=["fixed", "open in a list alone", "scalar", "no batch at all"],
)
def test_a_batch_that_is_not_open_is_refused(specs):
    with pytest.raises(EngineError, match=r"batch_size: is 4, but the model leaves no batch open; its inputs are"):
        made(*specs, batch_size=4)


def test_a_batch_size_that_contradicts_a_said_shape_is_refused():
    given = {"x": Wish(shape=(2, 3, 8, 8))}
    with pytest.raises(EngineError, match=r"batch_size: is 4, but the shape given for x is \[2, 3, 8, 8\]"):
        made(PICTURE, given=given, batch_size=4)
    assert shapes_of(PICTURE, given=given, batch_size=2) == [(2, 3, 8, 8)]


# Values and ranges


def test_a_value_is_that_of_every_element():
    result = made(TOKENS, MASK, given={"mask": Wish(value=0)})
    assert result.values["mask"].array.tolist() == [[0] * 128]
    assert result.shapes == "tokens: 1x128 int64; mask: 1x128 int64 = 0"


def test_a_value_is_kept_while_other_things_are_tried():
    seen = []

    def attempt(values):
        seen.append(values["axes"].array.tolist())
        raise EngineError("no")

    with pytest.raises(EngineError):
        made(("x", "float", ("a", 3)), ("axes", "int64", (2,)), attempt=attempt, given={"axes": Wish(value=7)})
    assert set(map(tuple, seen)) == {(7, 7)}


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ("string", "grüße"),
        ("bool", True),
        ("uint64", 2**64 - 1),
        ("int64", -(2**63)),
        ("int8", 3.0),
        ("float16", 65504),
    ],
)
def test_values_come_through_whole(element, value):
    array = array_of(("x", element, (2,)), given={"x": Wish(value=value)})
    assert array.tolist() == [value, value]
    assert array.dtype == KINDS[element].dtype


@pytest.mark.parametrize(
    ("element", "value", "told"),
    [
        ("string", 3, r"is 3, and the input's type string takes text"),
        ("float", "3", r'is "3", and the input\'s type float takes a number'),
        ("bool", 1, r"is 1, and the input's type bool takes true or false"),
        ("int32", True, r"is true, and the input's type int32 takes a whole number"),
        ("int64", 1.5, r"is 1.5, and the input's type int64 takes a whole number"),
        ("uint8", 256, r"is 256, and uint8 holds 0 to 255"),
        ("float16", 1e5, r"is 100000.0, and float16 holds -65504 to 65504"),
        ("int4", 8, r"is 8, and int4 holds -8 to 7"),
        ("float8e4m3fn", 449, r"is 449, and float8e4m3fn holds -448 to 448"),
        ("bfloat16", 1e39, r"is 1e\+39, and bfloat16 holds -3.38953e\+38 to 3.38953e\+38"),
    ],
)
def test_values_that_the_type_can_not_hold_are_refused(element, value, told):
    with pytest.raises(EngineError, match=rf"inputs\.x\.value: {told}"):
        made(("x", element, (2,)), given={"x": Wish(value=value)})


@pytest.mark.parametrize("element", sorted(WHOLE - {"int4", "uint4", "int2", "uint2"}))
def test_whole_numbers_reach_both_ends_of_their_range(element):
    array = array_of(("x", element, (2000,)), given={"x": Wish(range=(2, 5))})
    assert set(array.tolist()) == {2, 3, 4, 5}
    assert array.dtype == np.dtype(element)


@pytest.mark.parametrize("element", ["int64", "uint64"])
def test_the_widest_range_is_a_range(element):
    info = np.iinfo(element)
    array = array_of(("x", element, (1000,)), given={"x": Wish(range=(float(info.min), float(info.max)))})
    assert len(np.unique(array)) == 1000
    assert array.max() > info.max * 0.9
    assert array.min() < info.min * 0.9 + info.max * 0.1


@pytest.mark.parametrize("element", ["float", "double", "float16"])
def test_floats_are_spread_over_their_range(element):
    array = array_of(("x", element, (20_000,)), given={"x": Wish(range=(-2.0, 6.0))}).astype(np.float64)
    assert -2 <= array.min() < -1.9
    assert 5.9 < array.max() <= 6
    assert array.mean() == pytest.approx(2, abs=0.05)


def test_a_range_around_zero_makes_no_denormals():
    array = array_of(("x", "float16", (400_000,)), given={"x": Wish(range=(0.0, 1.0))})
    assert not np.any((array != 0) & (np.abs(array) < np.finfo(np.float16).tiny))


def test_the_widest_range_of_floats_does_not_overflow():
    most = float(np.finfo(np.float64).max)
    assert np.all(np.isfinite(array_of(("x", "double", (1000,)), given={"x": Wish(range=(-most, most))})))


@pytest.mark.parametrize(
    ("element", "ends", "told"),
    [
        ("float", (2, 1), "begins at 2 and ends at 1"),
        ("uint8", (-1, 5), r"is \[-1, 5\], and uint8 holds 0 to 255"),
        ("float16", (0, 1e6), "float16 holds"),
        ("int32", (0.2, 0.8), "no whole number"),
        ("string", (0, 1), "holds text"),
        ("bool", (0, 2), "bool holds 0 to 1"),
    ],
)
def test_ranges_that_are_none_of_the_type_are_refused(element, ends, told):
    with pytest.raises(EngineError, match=rf"inputs\.x\.range: .*{told}"):
        made(("x", element, (2,)), given={"x": Wish(range=ends)})


def test_a_value_and_a_range_are_one_too_many():
    with pytest.raises(EngineError, match="value and a range"):
        made(("x", "float", (2,)), given={"x": Wish(value=1, range=(0, 1))})


def test_the_same_seed_and_range_are_the_same_bytes():
    wish = {"x": Wish(range=(0, 9))}
    first, same, other = (array_of(("x", "int32", (99,)), seed=seed, given=wish).tobytes() for seed in (1, 1, 2))
    assert first == same != other


def test_a_large_range_is_made_in_pieces_that_join_without_a_seam():
    wish = Wish(range=(0.0, 1.0))
    whole = wished_values("x", "float", (50_001,), wish, 0, 0)
    assert whole[:10].tolist() == wished_values("x", "float", (10,), wish, 0, 0).tolist()
    assert len(np.unique(whole)) > 49_000


@pytest.mark.parametrize("element", sorted(KINDS.keys() - {"string", "float8e8m0"}))
@pytest.mark.parametrize("shape", [(), (0,), (3, 5)])
def test_every_type_takes_a_range(element, shape):
    values = wished_values("x", element, shape, Wish(range=(0, 1)), 0, 0)
    assert values.dtype == KINDS[element].dtype
    assert KINDS[element].per_byte > 1 or values.shape == shape


# Types that numpy lacks

ML_DTYPES = {
    "bfloat16": "bfloat16",
    "float8e4m3fn": "float8_e4m3fn",
    "float8e4m3fnuz": "float8_e4m3fnuz",
    "float8e5m2": "float8_e5m2",
    "float8e5m2fnuz": "float8_e5m2fnuz",
}


@pytest.mark.parametrize("element", sorted(ML_DTYPES))
def test_numbers_become_what_another_library_makes_of_them(element):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    theirs = np.dtype(getattr(ml_dtypes, ML_DTYPES[element]))
    codes = np.arange(2 ** (8 * theirs.itemsize), dtype=KINDS[element].dtype)
    with np.errstate(invalid="ignore"):  # some of the patterns are no numbers
        numbers = codes.view(theirs).astype(np.float64)
    plain = np.isfinite(numbers) & ~(np.signbit(numbers) & (numbers == 0))
    assert narrowed(numbers[plain], element).tolist() == codes[plain].tolist()
    assert limits_of(element) == (numbers[plain].min(), numbers[plain].max())


def test_four_bit_floats_and_powers_of_two():
    assert narrowed(np.array([0.5, 6.0, -1.5]), "float4e2m1").tolist() == [0x71, 0x0B]
    assert narrowed(np.array([2.0**-127, 1.0, 2.0**127]), "float8e8m0").tolist() == [0, 127, 254]


def test_elements_that_share_a_byte_begin_with_the_lowest_bits():
    assert narrowed(np.array([1, -1, 7]), "int4").tolist() == [0xF1, 0x07]
    assert narrowed(np.array([0, 1, 2, 3, 1]), "uint2").tolist() == [0b11100100, 1]


def test_numbers_between_two_elements_become_the_nearest():
    assert narrowed(np.array([0.9, 1.1, 447.0]), "float8e4m3fn").tolist() == [0x36, 0x39, 0x7E]


def test_an_end_that_is_the_rounded_largest_number_is_that_number():
    assert checked_range("x", "int64", (0, float(2**63 - 1))) == (0, 2**63 - 1)
