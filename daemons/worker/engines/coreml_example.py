"""The smallest Core ML model, made with coremltools, which can do that on any system."""

from __future__ import annotations

from typing import Any, Final

from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder
from coremltools.models.utils import save_spec
from coremltools.proto import FeatureTypes_pb2

SIZE: Final = 2


def write_example(folder: str) -> str:
    """`b = a + a`, two 32-bit floats each, as an .mlmodel in `folder`; its path."""
    builder: Any = NeuralNetworkBuilder(
        [("a", datatypes.Array(SIZE))], [("b", datatypes.Array(SIZE))], disable_rank5_shape_mapping=True
    )
    builder.add_elementwise(name="add", input_names=["a", "a"], output_name="b", mode="ADD")
    for feature in (*builder.spec.description.input, *builder.spec.description.output):
        feature.type.multiArrayType.dataType = FeatureTypes_pb2.ArrayFeatureType.FLOAT32
    path = f"{folder}/example.mlmodel"
    save_spec(builder.spec, path)
    return path
