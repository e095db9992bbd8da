"""Values for Core ML models: made by the machinery of all engines, within what a model names, in coremltools form."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from daemons.worker.bench.inputs import Value, fitting_inputs
from daemons.worker.engines.base import NO_WISHES, EngineError, Wish, Wishes
from daemons.worker.engines.coreml_features import Feature
from daemons.worker.engines.coreml_inputs import as_array, check_shapes, fed, specs_of, usual_shapes

FIXED = Feature("x", "array", "float", (1, 3))
RANGED = Feature("x", "array", "float", (1, 128), ranges=((1, 8), (1, 512)))
ENDLESS = Feature("x", "array", "float", (1, 4), ranges=((1, 1), (2, -1)))
CHOSEN = Feature("x", "array", "float", (1, 8), choices=((1, 8), (1, 16)))
PICTURE = Feature("image", "rgb", "uint8", (8, 9, 3))


def made(*features, wishes=NO_WISHES, seed=0):
    """The values for a model of these inputs, which accepts every shape that it names, and how often it was tried."""
    tried = []

    def attempt(values):
        check_shapes(features, values)
        tried.append(values)

    found = fitting_inputs(specs_of(features), attempt, seed, metadata=usual_shapes(features), wishes=wishes)
    return found, tried


def value(array, element="float"):
    array = np.asarray(array)
    return Value(array, element, array.shape, is_sequence=False)


@pytest.fixture
def pillow(monkeypatch):
    """A stand-in for Pillow that hands back the pixels."""
    image = types.ModuleType("PIL.Image")
    image.fromarray = lambda pixels: ("picture", pixels)
    package = types.ModuleType("PIL")
    package.Image = image
    monkeypatch.setitem(sys.modules, "PIL", package)
    monkeypatch.setitem(sys.modules, "PIL.Image", image)


@pytest.mark.parametrize("feature", [FIXED, RANGED, ENDLESS, CHOSEN])
def test_an_array_has_the_shape_that_the_model_names_as_usual_and_needs_no_trial(feature):
    found, tried = made(feature)
    assert found.values["x"].array.shape == feature.shape
    assert tried == []
    assert found.first_run_ns is None


def test_the_seed_decides_over_every_byte():
    first, same, other = (made(RANGED, PICTURE, seed=seed)[0].values for seed in (1, 1, 2))
    for name in first:
        assert first[name].array.tobytes() == same[name].array.tobytes()
        assert first[name].array.tobytes() != other[name].array.tobytes()


@pytest.mark.parametrize(
    ("feature", "shape"), [(RANGED, (8, 512)), (RANGED, (1, 1)), (ENDLESS, (1, 10_000)), (CHOSEN, (1, 16))]
)
def test_a_job_may_say_another_shape_that_the_model_takes(feature, shape):
    found, _ = made(feature, wishes=Wishes({"x": Wish(shape=shape)}))
    assert found.values["x"].array.shape == shape


def test_a_batch_size_is_that_of_the_open_first_dimension():
    found, _ = made(RANGED, wishes=Wishes(batch_size=4))
    assert found.values["x"].array.shape == (4, 128)


@pytest.mark.parametrize(
    ("feature", "wishes", "told"),
    [
        (RANGED, Wishes({"x": Wish(shape=(1, 513))}), r"x takes a shape in \[1\.\.8, 1\.\.512\], and not \[1, 513\]"),
        (RANGED, Wishes({"x": Wish(shape=(0, 1))}), r"and not \[0, 1\]"),
        (RANGED, Wishes(batch_size=9), r"and not \[9, 128\]"),
        (ENDLESS, Wishes({"x": Wish(shape=(1, 1))}), r"a shape in \[1, 2\.\.\], and not \[1, 1\]"),
        (CHOSEN, Wishes({"x": Wish(shape=(1, 9))}), r"one of the shapes \[1, 8\], \[1, 16\], and not \[1, 9\]"),
        (FIXED, Wishes({"x": Wish(shape=(2, 3))}), r"inputs\.x\.shape: is \[2, 3\]"),
    ],
)
def test_a_shape_that_the_model_does_not_take_is_refused_before_core_ml_sees_it(feature, wishes, told):
    with pytest.raises(EngineError, match=told):
        made(feature, wishes=wishes)


def test_an_array_that_names_no_shape_is_tried_out():
    found, tried = made(Feature("x", "array", "float"))
    assert len(tried) == 1
    assert found.first_run_ns is not None


def test_a_picture_has_pixels_of_every_brightness(pillow):
    found, _ = made(PICTURE)
    pixels = found.values["image"].array
    assert (pixels.dtype, pixels.shape) == (np.uint8, (8, 9, 3))
    assert pixels.max() > 200
    assert len(np.unique(pixels)) > 50
    assert found.shapes == "image: 8x9x3 uint8 in 0..255"
    picture, seen = fed([PICTURE], found.values)["image"]
    assert picture == "picture"
    np.testing.assert_array_equal(seen, pixels)


def test_a_job_may_say_what_a_picture_holds(tmp_path):
    found, _ = made(PICTURE, wishes=Wishes({"image": Wish(value=7)}))
    assert set(np.unique(found.values["image"].array)) == {7}
    found, _ = made(PICTURE, wishes=Wishes({"image": Wish(range=(10, 12))}))
    assert set(np.unique(found.values["image"].array)) == {10, 11, 12}
    np.savez(tmp_path / "x.npz", image=np.full((8, 9, 3), 99, np.uint8))
    found, _ = made(PICTURE, wishes=Wishes(arrays_path=str(tmp_path / "x.npz")))
    assert set(np.unique(found.values["image"].array)) == {99}


def test_a_picture_of_half_precision_goes_in_as_32_bit_floats(pillow):
    feature = Feature("image", "gray16", "float16", (8, 9))
    found, _ = made(feature)
    assert found.values["image"].array.dtype == np.float16
    assert fed([feature], found.values)["image"][1].dtype == np.float32


def test_without_pillow_a_picture_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(EngineError, match=r"image is a picture.*needs Pillow.*pip install pillow"):
        fed([PICTURE], made(PICTURE)[0].values)


def test_the_real_pillow_takes_what_is_made():
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed here, so no picture can be made")
    modes = {"rgb": ("uint8", (8, 9, 3), "RGB"), "gray": ("uint8", (8, 9), "L"), "gray16": ("float16", (8, 9), "F")}
    for kind, (element, shape, mode) in modes.items():
        feature = Feature("image", kind, element, shape)
        picture = fed([feature], made(feature)[0].values)["image"]
        assert isinstance(picture, image.Image)
        assert (picture.mode, picture.size) == (mode, (9, 8))


def test_numbers_and_words_go_in_as_pythons_own():
    features = [Feature("a", "scalar", "int64"), Feature("b", "scalar", "double"), Feature("c", "scalar", "string")]
    given = fed(features, made(*features)[0].values)
    assert [type(given[name]) for name in "abc"] == [int, float, str]


def test_a_number_is_never_tried_as_an_array():
    tried = []

    def refuse(values):
        tried.append(values["n"].array.shape)
        raise EngineError("no")

    with pytest.raises(EngineError, match="No inputs were found"):
        fitting_inputs(specs_of([Feature("n", "scalar", "int64")]), refuse, 0, metadata={})
    assert set(tried) == {()}


def test_a_dictionary_is_made_of_its_keys():
    words, numbers = Feature("w", "dictionary", "string", (4,)), Feature("n", "dictionary", "int64", (4,))
    given = fed([words, numbers], made(words, numbers)[0].values)
    assert given["w"]
    assert {type(key) for key in given["w"]} == {str}
    assert {type(key) for key in given["n"]} == {int}
    assert set(given["w"].values()) == {1.0}


@pytest.mark.parametrize(
    ("element", "dtype"),
    [("float", "f4"), ("double", "f8"), ("float16", "f4"), ("int32", "i4"), ("int8", "i1")],
)
def test_arrays_go_in_as_types_that_coremltools_takes(element, dtype):
    feature = Feature("x", "array", element, (2, 3))
    array = fed([feature], made(feature)[0].values)["x"]
    assert array.dtype == np.dtype(dtype)
    assert array.flags.c_contiguous
    assert array.shape == (2, 3)


def test_another_engines_values_are_taken_in_the_models_own_types():
    array = fed([FIXED], {"x": value(np.ones((1, 3), np.float64), "double"), "more": value(0)})["x"]
    assert array.dtype == np.float32


@pytest.mark.parametrize(
    ("features", "values", "told"),
    [
        ([FIXED], {"y": value([1.0])}, "inputs x got no values; there are y"),
        ([Feature("n", "scalar", "int64")], {"n": value([1, 2], "int64")}, r"n takes one int64, and not \[2\]"),
    ],
)
def test_values_that_do_not_fit_are_told(features, values, told):
    with pytest.raises(EngineError, match=told):
        fed(features, values)


@pytest.mark.parametrize(
    ("feature", "told"),
    [
        (Feature("s", "sequence"), "s is a sequence, which coremltools can't be fed with"),
        (Feature("s", "array", "", (2,)), "an array of a type that is not known here"),
        (Feature("s", "image of the colour space INVALID_COLOR_SPACE"), "colour space INVALID_COLOR_SPACE"),
    ],
)
def test_inputs_that_can_not_be_made_are_told(feature, told):
    with pytest.raises(EngineError, match=told):
        specs_of([feature])


def test_outputs_of_every_kind_are_arrays():
    assert as_array({"b": 0.25, "a": 0.75}).tolist() == [0.75, 0.25]
    assert as_array({2: 0.5, 1: 0.1}).tolist() == [0.1, 0.5]
    assert as_array("cat").tolist() == "cat"
    assert as_array(3).shape == ()
    assert as_array(0.5).dtype == np.float64
    assert as_array(np.ones((2, 3))).shape == (2, 3)
    assert as_array([1, 2]).tolist() == [1, 2]
