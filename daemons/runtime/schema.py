"""The JSON schema of a program's settings, for editors that complete and check YAML."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import json
import sys
from typing import Any, Final

import msgspec

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


@functools.cache
def _classes_of(module: str) -> dict[str, ast.ClassDef]:
    """The classes of a module as they are written: parsed once, for that takes long."""
    body = ast.parse(inspect.getsource(sys.modules[module])).body
    return {definition.name: definition for definition in body if isinstance(definition, ast.ClassDef)}


def settings_schema(kind: type[msgspec.Struct], title: str) -> bytes:
    """The schema of `kind` as an indented JSON document; each key is described by the docstring below it."""
    schema = {"$schema": DIALECT, "title": title, **msgspec.json.schema(kind)}
    for section in (field.type for field in msgspec.structs.fields(kind)):
        _describe(schema["$defs"][section.__name__], section)
    return json.dumps(schema, indent=2, ensure_ascii=False).encode() + b"\n"


def _describe(definition: dict[str, Any], section: type[msgspec.Struct]) -> None:
    for key, text in key_descriptions(section).items():
        definition["properties"][key]["description"] = text


def key_descriptions(section: type[msgspec.Struct]) -> dict[str, str]:
    """Key → the docstring that follows it in the source, on one line. The class stands at the top of its module."""
    return {
        key.target.id: " ".join(text.value.value.split())
        for key, text in itertools.pairwise(_classes_of(section.__module__)[section.__name__].body)
        if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
