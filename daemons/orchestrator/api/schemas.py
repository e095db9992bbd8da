"""JSON schemas of the types that the API takes and gives, each described by the docstrings in its source."""

from __future__ import annotations

import inspect as python
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct, inspect

from daemons.runtime.schema import key_descriptions

Schema = dict[str, Any]

TEMPLATE: Final = "#/components/schemas/{name}"


class Schemas:
    """The schemas of `types` and of all that they are made of."""

    def __init__(self, types: Iterable[Any]) -> None:
        wanted = list(types)
        found, self.components = msgspec.json.schema_components(wanted, ref_template=TEMPLATE)
        self._of_type: list[tuple[Any, Schema]] = list(zip(wanted, found, strict=True))
        for struct in _structs(inspect.multi_type_info(wanted)):
            _describe(self.components[struct.__name__], struct)

    def of(self, kind: Any) -> Schema:
        """The schema of one of the types."""
        return dict(next(schema for known, schema in self._of_type if known == kind))

    def take(self, struct: type[Struct]) -> Schema:
        """The schema of an object that is not to stand among the components: its keys become parameters."""
        return dict(self.components.pop(struct.__name__))


def _structs(infos: Iterable[inspect.Type]) -> set[type[Struct]]:
    found: set[type[Struct]] = set()
    waiting = list(infos)
    while waiting:
        info = waiting.pop()
        if isinstance(info, inspect.StructType):
            if info.cls in found:
                continue
            found.add(info.cls)
        waiting.extend(_parts(info))
    return found


def _parts(info: inspect.Type) -> Iterator[inspect.Type]:
    match info:
        case inspect.StructType():
            yield from (field.type for field in info.fields)
        case inspect.ListType():
            yield info.item_type
        case inspect.DictType():
            yield info.value_type
        case inspect.UnionType():
            yield from info.types
        case inspect.Metadata():
            yield info.type
        case _:
            return


def _describe(schema: Schema, struct: type[Struct]) -> None:
    schema["description"] = python.cleandoc(struct.__doc__ or "")
    texts = descriptions(struct)
    for field in msgspec.structs.fields(struct):
        if field.name in texts:
            text = re.sub(r"\bNone\b", "null", texts[field.name])
            schema["properties"][field.encode_name]["description"] = text


def descriptions(struct: type[Struct]) -> dict[str, str]:
    """Field → the docstring below it, where it is declared."""
    found: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if issubclass(base, Struct) and base is not Struct:
            found |= key_descriptions(base)
    return found
