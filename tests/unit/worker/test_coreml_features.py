"""What Core ML models say of their inputs: specifications that coremltools has made, and compiled models' JSON."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("coremltools", reason="coremltools is not installed here")

import coremltools as ct
from coremltools.converters import mil
from coremltools.converters.mil.mil import get_new_symbol
from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder
from coremltools.models.neural_network import flexible_shape_utils as flexible
from coremltools.proto import FeatureTypes_pb2, Model_pb2

from daemons.worker.engines.base import EngineError
from daemons.worker.engines.coreml_features import Feature, Signature, signature_in_metadata, signature_in_spec

# Of a folder that coremltools leaves to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

ARRAY = FeatureTypes_pb2.ArrayFeatureType
IMAGE = FeatureTypes_pb2.ImageFeatureType


def of_program(shape, **how):
    """The signature of an ML program that coremltools converts, with inputs as `how` says."""

    @mil.Builder.program(input_specs=[mil.Builder.TensorSpec(shape=shape)])
    def program(x):
        return mil.Builder.relu(x=x, name="y")

    made = ct.convert(program, convert_to="mlprogram", skip_model_load=True, **how)
    return signature_in_spec(made.get_spec())


def of_network(change):
    """The input of a neural network of one input, after `change` to its specification."""
    builder = NeuralNetworkBuilder([("x", datatypes.Array(3, 8, 9))], [("y", None)])
    builder.add_elementwise("add", ["x", "x"], "y", mode="ADD")
    change(builder.spec)
    (feature,) = signature_in_spec(builder.spec).inputs
    return feature


def of_types(**types):
    """The inputs of a specification whose inputs have these types."""
    spec = Model_pb2.Model()
    for name, kind in types.items():
        made = spec.description.input.add(name=name)
        getattr(made.type, kind).SetInParent()
    return signature_in_spec(spec).inputs


def test_an_ml_program_of_a_fixed_shape():
    assert of_program((1, 3, 8, 9)) == Signature(
        (Feature("x", "array", "float", (1, 3, 8, 9)),), ("y",), is_stateful=False, model_type="mlProgram"
    )


def test_a_range_of_sizes_keeps_its_ends_and_the_usual_size():
    wanted = ct.TensorType(name="x", shape=(1, ct.RangeDim(1, 512, default=128), 4))
    (feature,) = of_program((1, get_new_symbol(), 4), inputs=[wanted]).inputs
    assert feature == Feature("x", "array", "float", (1, 128, 4), ranges=((1, 1), (1, 512), (4, 4)))
    assert feature.open_axes == {1}


def test_a_range_without_an_end():
    feature = of_network(lambda spec: flexible.set_multiarray_ndshape_range(spec, "x", [2, 1, 9], [-1, 8, 9]))
    assert feature.ranges == ((2, -1), (1, 8), (9, 9))
    assert feature.open_axes == {0, 1}


def test_several_shapes_to_choose_from():
    shapes = ct.EnumeratedShapes([(1, 3, 8, 8), (1, 3, 16, 24)], default=(1, 3, 16, 24))
    wanted = ct.TensorType(name="x", shape=shapes)
    (feature,) = of_program((1, 3, get_new_symbol(), get_new_symbol()), inputs=[wanted]).inputs
    assert feature.shape == (1, 3, 16, 24)
    assert set(feature.choices) == {(1, 3, 8, 8), (1, 3, 16, 24)}
    assert feature.open_axes == {2, 3}


def test_an_array_without_a_usual_shape_has_the_first_choice_or_the_least_size():
    def choices(spec):
        flexible.add_multiarray_ndshape_enumeration(spec, "x", [(3, 8, 9), (1, 8, 9)])
        del spec.description.input[0].type.multiArrayType.shape[:]

    def ranges(spec):
        flexible.set_multiarray_ndshape_range(spec, "x", [2, 8, 9], [5, 8, 9])
        del spec.description.input[0].type.multiArrayType.shape[:]

    assert of_network(choices).shape == (3, 8, 9)
    assert of_network(ranges).shape == (2, 8, 9)


@pytest.mark.parametrize(
    ("kind", "element"),
    [("FLOAT32", "float"), ("DOUBLE", "double"), ("FLOAT16", "float16"), ("INT32", "int32"), ("INT8", "int8")],
)
def test_every_type_of_array(kind, element):
    def change(spec):
        spec.description.input[0].type.multiArrayType.dataType = ARRAY.ArrayDataType.Value(kind)

    assert of_network(change).element == element


def test_an_array_of_no_known_type_has_none():
    def change(spec):
        spec.description.input[0].type.multiArrayType.dataType = ARRAY.INVALID_ARRAY_DATA_TYPE

    assert of_network(change).element == ""


def test_a_picture_is_height_width_and_colours():
    wanted = ct.ImageType(name="x", shape=(1, 3, 8, 9))
    assert of_program((1, 3, 8, 9), inputs=[wanted]).inputs == (Feature("x", "rgb", "uint8", (8, 9, 3)),)


def picture(color, change=lambda _image: None):
    spec = Model_pb2.Model()
    image = spec.description.input.add(name="x").type.imageType
    image.width, image.height, image.colorSpace = 9, 8, color
    change(spec)
    return signature_in_spec(spec).inputs[0]


def test_every_colour_space():
    assert picture(IMAGE.BGR) == Feature("x", "rgb", "uint8", (8, 9, 3))
    assert picture(IMAGE.GRAYSCALE) == Feature("x", "gray", "uint8", (8, 9))
    assert picture(IMAGE.GRAYSCALE_FLOAT16) == Feature("x", "gray16", "float16", (8, 9))
    assert picture(IMAGE.INVALID_COLOR_SPACE).element == ""


def test_pictures_of_several_sizes():
    def ranges(spec):
        wanted = flexible.NeuralNetworkImageSizeRange((4, 64), (5, -1))
        flexible.update_image_size_range(spec, "x", wanted)

    def choices(spec):
        flexible.add_enumerated_image_sizes(spec, "x", [flexible.NeuralNetworkImageSize(height=16, width=24)])

    assert picture(IMAGE.RGB, ranges).ranges == ((4, 64), (5, -1), (3, 3))
    assert picture(IMAGE.GRAYSCALE, ranges).ranges == ((4, 64), (5, -1))
    assert set(picture(IMAGE.RGB, choices).choices) == {(8, 9, 3), (16, 24, 3)}
    assert picture(IMAGE.RGB, choices).open_axes == {0, 1}


def test_numbers_words_dictionaries_and_what_can_not_be_fed():
    spec = Model_pb2.Model()
    spec.description.input.add(name="d").type.dictionaryType.stringKeyType.SetInParent()
    spec.description.input.add(name="e").type.dictionaryType.int64KeyType.SetInParent()
    words, numbers = signature_in_spec(spec).inputs
    assert (words.kind, words.element, numbers.element) == ("dictionary", "string", "int64")
    assert of_types(a="int64Type", b="doubleType", c="stringType") == (
        Feature("a", "scalar", "int64"),
        Feature("b", "scalar", "double"),
        Feature("c", "scalar", "string"),
    )
    assert of_types(a="sequenceType") == (Feature("a", "sequence"),)
    spec = Model_pb2.Model()
    spec.description.input.add(name="a")
    assert signature_in_spec(spec).inputs == (Feature("a", "nothing"),)


def test_a_model_of_several_functions_is_its_default_one():
    spec = Model_pb2.Model()
    spec.mlProgram.SetInParent()
    for name in ("prompt", "extend"):
        function = spec.description.functions.add(name=name)
        function.input.add(name=f"{name}_in").type.int64Type.SetInParent()
        function.output.add(name=f"{name}_out")
    spec.description.functions[1].state.add(name="cache")
    assert [one.name for one in signature_in_spec(spec).inputs] == ["prompt_in"]
    spec.description.defaultFunctionName = "extend"
    signature = signature_in_spec(spec)
    assert [one.name for one in signature.inputs] == ["extend_in"]
    assert signature.outputs == ("extend_out",)
    assert signature.is_stateful
    spec.description.defaultFunctionName = "prompt"
    assert not signature_in_spec(spec).is_stateful


# Compiled models


def metadata(*inputs, **more):
    """As Core ML's compiler writes it."""
    output = {
        "hasShapeFlexibility": "0",
        "isOptional": "0",
        "dataType": "Float16",
        "formattedType": "MultiArray (Float16 1 x 10)",
        "shortDescription": "",
        "shape": "[1, 10]",
        "name": "y",
        "type": "MultiArray",
    }
    model = {
        "metadataOutputVersion": "3.0",
        "outputSchema": [output],
        "modelParameters": [],
        "specificationVersion": 7,
        "mlProgramOperationTypeHistogram": {"Ios16.mul": 1},
        "computePrecision": "Float16",
        "isUpdatable": "0",
        "stateSchema": [],
        "availability": {"macOS": "13.0", "iOS": "16.0"},
        "modelType": {"name": "MLModelType_mlProgram"},
        "userDefinedMetadata": {"com.github.apple.coremltools.version": "9.0"},
        "inputSchema": list(inputs),
        "generatedClassName": "example",
        "method": "predict",
    }
    return json.dumps([model | more], ensure_ascii=False)


def entry(name="x", kind="MultiArray", **more):
    return {"isOptional": "0", "shortDescription": "", "name": name, "type": kind} | more


def array(shape, data_type="Float32", **more):
    return entry(dataType=data_type, shape=shape, hasShapeFlexibility="1" if more else "0", **more)


def image(color="RGB", **more):
    return entry(kind="Image", width="9", height="8", colorspace=color, isColor="1", **more)


@pytest.mark.parametrize(
    ("described", "feature"),
    [
        (array("[1, 10]", "Float16"), Feature("x", "array", "float16", (1, 10))),
        (array("[2]", "Int32"), Feature("x", "array", "int32", (2,))),
        (array("[2]", "Invalid"), Feature("x", "array", "", (2,))),
        (
            array("[1, 128]", shapeRange="[[1, 1], [1, 512]]", shapeFlexibility="1 x 1...512"),
            Feature("x", "array", "float", (1, 128), ranges=((1, 1), (1, 512))),
        ),
        (
            array("[]", shapeRange="[[2, -1]]", shapeFlexibility="2..."),
            Feature("x", "array", "float", (2,), ranges=((2, -1),)),
        ),
        (
            array("[1, 8]", enumeratedShapes="[[1, 8], [1, 16]]", shapeFlexibility="1 x 8 | 1 x 16"),
            Feature("x", "array", "float", (1, 8), choices=((1, 8), (1, 16))),
        ),
        (image(), Feature("x", "rgb", "uint8", (8, 9, 3))),
        (image("BGR"), Feature("x", "rgb", "uint8", (8, 9, 3))),
        (image("Grayscale"), Feature("x", "gray", "uint8", (8, 9))),
        (image("Grayscale16Half"), Feature("x", "gray16", "float16", (8, 9))),
        (
            image(sizeRange="[[5, -1], [4, 64]]"),
            Feature("x", "rgb", "uint8", (8, 9, 3), ranges=((4, 64), (5, -1), (3, 3))),
        ),
        (
            image(enumeratedSizes="[[9, 8], [24, 16]]"),
            Feature("x", "rgb", "uint8", (8, 9, 3), choices=((8, 9, 3), (16, 24, 3))),
        ),
        (entry(kind="Int64"), Feature("x", "scalar", "int64")),
        (entry(kind="Double"), Feature("x", "scalar", "double")),
        (entry(kind="String"), Feature("x", "scalar", "string")),
        (entry(kind="Dictionary", keyType="String"), Feature("x", "dictionary", "string", (4,))),
        (entry(kind="Dictionary", keyType="Int64"), Feature("x", "dictionary", "int64", (4,))),
        (entry(kind="Sequence", valueType="Int64", sizeRange="[1, -1]"), Feature("x", "sequence")),
    ],
)
def test_a_compiled_model_says_the_same_in_json(described, feature):
    assert signature_in_metadata(metadata(described)) == Signature(
        (feature,), ("y",), is_stateful=False, model_type="mlProgram"
    )


def test_a_compiled_model_with_a_state_and_one_of_several_functions():
    state = entry("cache", "State", dataType="Float16", shape="[1, 8]")
    assert signature_in_metadata(metadata(stateSchema=[state])).is_stateful
    functions = [
        {"name": name, "inputSchema": [entry(name, "Int64")], "outputSchema": [entry(name.upper(), "Int64")]}
        for name in ("prompt", "extend")
    ]
    chosen = signature_in_metadata(metadata(functions=functions, defaultFunctionName="extend"))
    assert [one.name for one in chosen.inputs] == ["extend"]
    assert chosen.outputs == ("EXTEND",)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "[1]", '[{"inputSchema": []}]', metadata(entry(kind="Image")), metadata(array("[1, 'two']"))],
)
def test_metadata_that_can_not_be_understood_is_told_with_what_to_send_instead(text):
    with pytest.raises(EngineError, match=r"metadata\.json can't be understood.*send the \.mlpackage"):
        signature_in_metadata(text)
