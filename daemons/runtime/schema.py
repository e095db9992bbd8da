"""JSON schemas of typed documents, for editors that complete and check YAML; and what the source says of each key."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import inspect as types

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


@functools.cache
def _classes_of(module: str) -> dict[str, ast.ClassDef]:
    """The classes of a module as they are written: parsed once, for that takes long."""
    body = ast.parse(inspect.getsource(sys.modules[module])).body
    return {definition.name: definition for definition in body if isinstance(definition, ast.ClassDef)}


def settings_schema(kind: type[msgspec.Struct], title: str) -> bytes:
    """The schema of `kind` as an indented JSON document; each key is described by the docstring below it."""
    schema = {"$schema": DIALECT, "title": title, **msgspec.json.schema(kind)}
    for struct in structs_in([types.type_info(kind)]):
        for key, text in descriptions(struct).items():
            schema["$defs"][struct.__name__]["properties"][_encoded(struct, key)]["description"] = text
    return json.dumps(schema, indent=2, ensure_ascii=False).encode() + b"\n"


def structs_in(infos: Iterable[types.Type]) -> set[type[msgspec.Struct]]:
    """Every Struct that these types are made of."""
    found: set[type[msgspec.Struct]] = set()
    waiting = list(infos)
    while waiting:
        info = waiting.pop()
        if isinstance(info, types.StructType):
            if info.cls in found:
                continue
            found.add(info.cls)
        waiting.extend(_parts(info))
    return found


def _parts(info: types.Type) -> Iterator[types.Type]:
    match info:
        case types.StructType():
            yield from (field.type for field in info.fields)
        case types.ListType():
            yield info.item_type
        case types.DictType():
            yield info.value_type
        case types.UnionType():
            yield from info.types
        case types.Metadata():
            yield info.type
        case _:
            return


def _encoded(struct: type[msgspec.Struct], name: str) -> str:
    return next(field.encode_name for field in msgspec.structs.fields(struct) if field.name == name)


def descriptions(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Field → the docstring below it, where it is declared."""
    found: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            found |= key_descriptions(base)
    return found


def key_descriptions(section: type[msgspec.Struct]) -> dict[str, str]:
    """Key → the docstring that follows it in the source, on one line. The class stands at the top of its module.

    One that is made while the program runs is written nowhere: its keys describe themselves.
    """
    written = _classes_of(section.__module__).get(section.__name__)
    return {
        key.target.id: " ".join(text.value.value.split())
        for key, text in itertools.pairwise(written.body if written else ())
        if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
