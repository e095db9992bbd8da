"""What an ONNX file says of its inputs, outputs and metadata, read without a runtime: for engines that lose names.

A runtime that is not ONNX's own may forget what a model calls its open dimensions, by which benchfleet chooses sizes.
This reads the protocol-buffer fields in question from the file and steps over the rest, weights included, so it needs
next to no memory. What it finds is what ONNX Runtime reports of the same file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from daemons.worker.bench.dimensions import Dim
from daemons.worker.bench.guesses import Spec
from daemons.worker.bench.values import KINDS
from daemons.worker.engines.base import EngineError

_VARINT_BYTES: Final = 10
_ELEMENTS: Final = {kind.code: name for name, kind in KINDS.items()}
_WRAPPERS: Final = {4: "seq", 9: "optional"}
"""Fields of a TypeProto whose content begins with another type."""


class Signature(NamedTuple):
    """How a model is to be fed, and what it answers."""

    inputs: tuple[Spec, ...]
    """Those that must be fed: an initializer of the same name gives an input its value."""
    outputs: tuple[str, ...]
    metadata: dict[str, str]
    weights: frozenset[str] = frozenset()
    """The element types of the initializers: what the model is written in."""


class Field(NamedTuple):
    """One field of a message."""

    number: int
    value: int
    """Of a number; of bytes, where they begin."""
    end: int | None
    """Where its bytes end; None for a number."""


def read_signature(path: str) -> Signature:
    """The signature of the ONNX model at `path`. EngineError if it can't be read as one."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (pathlib would stand in every peak)
            return _Reader(file).model()
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise EngineError(f"The model can't be read ({type(error).__name__}).") from error


class _Reader:
    """Walks through a model's messages, as onnx.proto defines them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, 2)

    def model(self) -> Signature:
        """Of the ModelProto that the file is."""
        inputs: list[Spec] = []
        outputs: list[str] = []
        weights: dict[str, str] = {}
        metadata: dict[str, str] = {}
        for field in self._fields(0, self._size):
            if field.number == 7:
                self._graph(field, inputs, outputs, weights)
            elif field.number == 14:
                texts = {part.number: self._text(part) for part in self._inside(field)}
                metadata[texts.get(1, "")] = texts.get(2, "")
        unfed = tuple(one for one in inputs if one.name not in weights)
        return Signature(unfed, tuple(outputs), metadata, frozenset(weights.values()))

    def _graph(self, graph: Field, inputs: list[Spec], outputs: list[str], weights: dict[str, str]) -> None:
        """GraphProto: initializer 5, input 11, output 12, sparse_initializer 15 (whose values 1 carry the name)."""
        for field in self._inside(graph):
            if field.number == 5:
                weights.update([self._weight(field)])
            elif field.number == 11:
                inputs.append(self._input(field))
            elif field.number == 12:
                outputs.append(next((self._text(part) for part in self._inside(field) if part.number == 1), ""))
            elif field.number == 15:
                weights.update(self._weight(part) for part in self._inside(field) if part.number == 1)

    def _weight(self, tensor: Field) -> tuple[str, str]:
        """TensorProto: data_type 2, name 8."""
        name, element = "", "undefined"
        for field in self._inside(tensor):
            if field.number == 2:
                element = _ELEMENTS.get(field.value, element)
            elif field.number == 8:
                name = self._text(field)
        return name, element

    def _input(self, info: Field) -> Spec:
        """ValueInfoProto: name 1, type 2."""
        name, type_name, shape = "", "", ()  # type: str, str, tuple[Dim, ...]
        for field in self._inside(info):
            if field.number == 1:
                name = self._text(field)
            elif field.number == 2:
                type_name, shape = self._type(field)
        return Spec(name, type_name, shape)

    def _type(self, message: Field) -> tuple[str, tuple[Dim, ...]]:
        """TypeProto, in ONNX Runtime's words: tensor_type 1, sequence_type 4, map_type 5, optional_type 9."""
        for field in self._inside(message):
            if field.number == 1:
                return self._tensor(field)
            for inner in self._inside(field) if field.number in _WRAPPERS else ():
                return f"{_WRAPPERS[field.number]}({self._type(inner)[0]})", ()
        return "map or sparse tensor", ()

    def _tensor(self, message: Field) -> tuple[str, tuple[Dim, ...]]:
        """TypeProto.Tensor: elem_type 1, shape 2, whose dim 1 are the dimensions."""
        element, shape = "undefined", ()  # type: str, tuple[Dim, ...]
        for field in self._inside(message):
            if field.number == 1:
                element = _ELEMENTS.get(field.value, f"type {field.value}")
            elif field.number == 2:
                shape = tuple(self._dimension(part) for part in self._inside(field) if part.number == 1)
        return f"tensor({element})", shape

    def _dimension(self, message: Field) -> Dim:
        """TensorShapeProto.Dimension: dim_value 1, else dim_param 2; a negative size is none."""
        found: Dim = None
        for field in self._inside(message):
            if field.number == 1:
                found = field.value if field.value < 2**63 else None
            elif field.number == 2:
                found = self._text(field) or None
        return found

    def _text(self, field: Field) -> str:
        if field.end is None:
            return ""
        self._file.seek(field.value)
        return self._file.read(field.end - field.value).decode()

    def _inside(self, message: Field) -> Iterator[Field]:
        return iter(()) if message.end is None else self._fields(message.value, message.end)

    def _fields(self, at: int, end: int) -> Iterator[Field]:
        """The fields of the message between two places; bytes are not read."""
        while at < end:
            tag, at = self._varint(at)
            value, after = (at, at) if tag & 7 in {1, 5} else self._varint(at)
            match tag & 7:
                case 0:
                    yield Field(tag >> 3, value, None)
                case 1:
                    after += 8
                case 2:
                    after, value = after + value, after
                    yield Field(tag >> 3, value, after)
                case 5:
                    after += 4
                case _:
                    raise _unreadable()
            if after > end:
                raise _unreadable()
            at = after

    def _varint(self, at: int) -> tuple[int, int]:
        """The number at a place, and where it ends."""
        self._file.seek(at)
        value = 0
        for count, byte in enumerate(self._file.read(_VARINT_BYTES)):
            value |= (byte & 0x7F) << 7 * count
            if byte < 0x80:
                return value, at + count + 1
        raise _unreadable()


def _unreadable() -> EngineError:
    return EngineError("The file is not an ONNX model, or it was cut off.")
