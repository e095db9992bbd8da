"""Links of the API's document: which requests take an identifier that an answer holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec import inspect

from daemons.orchestrator.api.routes import PATH_PARAMETERS, Route, content_of

Document = dict[str, Any]

_BODY: Final = "$response.body#"


def operation_id(route: Route) -> str:
    """The name of a route's operation."""
    return f"{route.handler.__module__.rpartition('.')[2]}_{route.handler.__name__}"


def links_of(route: Route, status: int, routes: Iterable[Route]) -> Document:
    """From the answer that makes something, and from lists: to every request about that alone, by its operation."""
    kind = content_of(route.answers[status]).type
    is_list = route.method == "GET" and "{" not in route.path
    if not is_list and status != HTTPStatus.CREATED:
        return {}
    found = dict(_identifiers(kind))
    return {
        operation_id(target): {"operationId": operation_id(target), "parameters": {name: found[name]}}
        for target in routes
        for name in found
        if re.findall(r"{(\w+)}", target.path) == [name]
    }


def _identifiers(kind: Any) -> Iterator[tuple[str, str]]:
    """Name of a path's parameter → where it stands in an answer of this type; in a list, of the first item."""
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return
    for field in msgspec.structs.fields(kind):
        if field.encode_name in PATH_PARAMETERS:
            yield field.encode_name, f"{_BODY}/{field.encode_name}"
        info = inspect.type_info(field.type)
        if isinstance(info, inspect.ListType) and isinstance(info.item_type, inspect.StructType):
            for name, place in _identifiers(info.item_type.cls):
                if place == f"{_BODY}/{name}":
                    yield name, f"{_BODY}/{field.encode_name}/0/{name}"
