"""JSON schemas of the types that the API takes and gives, each described by the docstrings in its source."""

from __future__ import annotations

import inspect as python
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct, inspect

from daemons.runtime.schema import descriptions, structs_in

Schema = dict[str, Any]

TEMPLATE: Final = "#/components/schemas/{name}"


class Schemas:
    """The schemas of `types` and of all that they are made of."""

    def __init__(self, types: Iterable[Any]) -> None:
        wanted = list(types)
        found, self.components = msgspec.json.schema_components(wanted, ref_template=TEMPLATE)
        self._of_type: list[tuple[Any, Schema]] = list(zip(wanted, found, strict=True))
        for struct in structs_in(inspect.multi_type_info(wanted)):
            _describe(self.components[struct.__name__], struct)

    def of(self, kind: Any) -> Schema:
        """The schema of one of the types."""
        return dict(next(schema for known, schema in self._of_type if known == kind))

    def take(self, struct: type[Struct]) -> Schema:
        """The schema of an object that is not to stand among the components: its keys become parameters."""
        return dict(self.components.pop(struct.__name__))


def _describe(schema: Schema, struct: type[Struct]) -> None:
    schema["description"] = python.cleandoc(struct.__doc__ or "")
    texts = descriptions(struct)
    for field in msgspec.structs.fields(struct):
        if field.name in texts:
            text = re.sub(r"\bNone\b", "null", texts[field.name])
            schema["properties"][field.encode_name]["description"] = text
