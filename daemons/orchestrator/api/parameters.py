"""What a request's query string and headers say, by the route's own table: checked once, before its handler."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct, inspect
from msgspec.structs import FieldInfo
from multidict import MultiMapping

from daemons.core.errors import InvalidInput
from daemons.core.validation import describe, show
from daemons.orchestrator.api.routes import Route

S = TypeVar("S", bound=Struct)


class _Nothing(Struct, frozen=True):
    """What a route without parameters takes."""


_PLAIN: Final = (inspect.IntType, inspect.FloatType, inspect.BoolType)

QUERY: Final = web.RequestKey("query", Struct)
HEADERS: Final = web.RequestKey("headers", Struct)


def check_parameters(request: web.Request, route: Route) -> None:
    """Read what the route takes, for `query_of` and `headers_of`; InvalidInput for anything else in the query."""
    wanted = route.query or _Nothing
    known = [field.encode_name for field in msgspec.structs.fields(wanted)]
    for name in request.query:
        if name not in known:
            raise InvalidInput(_unknown(name, known), field=name[:60])
    request[QUERY] = _read(request.query, wanted)
    request[HEADERS] = _read(request.headers, route.headers or _Nothing)


def query_of(request: web.Request, wanted: type[S]) -> S:
    """The query of a request whose route takes a `wanted`."""
    query = request[QUERY]
    assert isinstance(query, wanted)  # noqa: S101 (the route's table says otherwise)
    return query


def headers_of(request: web.Request, wanted: type[S]) -> S:
    """The headers of a request whose route heeds a `wanted`."""
    headers = request[HEADERS]
    assert isinstance(headers, wanted)  # noqa: S101 (the route's table says otherwise)
    return headers


def _unknown(name: str, known: list[str]) -> str:
    if not known:
        return f"{name[:60]}: there is no such parameter; this address takes none"
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{name[:60]}: there is no such parameter; {hint}known are {', '.join(known)}"


def _read(given: MultiMapping[str], wanted: type[S]) -> S:
    return wanted(**dict(_values(given, wanted)))


def _values(given: MultiMapping[str], wanted: type[Struct]) -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(wanted):
        texts = given.getall(field.encode_name, [])
        if texts:
            yield field.name, _value(texts, field)
        elif field.required:
            raise InvalidInput(f"{field.encode_name}: is missing; it takes {_allowed(field)}", field=field.encode_name)


def _value(texts: list[str], field: FieldInfo) -> Any:
    name = field.encode_name
    if _holds(field, inspect.ListType):
        found: Any = texts
    elif len(texts) > 1:
        raise InvalidInput(f"{name}: is given {len(texts)} times; once is enough", field=name)
    else:
        found = "true" if texts[0] == "" and _holds(field, inspect.BoolType) else texts[0]
    try:  # text becomes a number where one is wanted, and nothing else: a time is no number of seconds
        value = msgspec.convert(found, field.type, strict=not _holds(field, *_PLAIN))
    except msgspec.ValidationError:
        value = None
    if value is None:  # text is never null: who has no wish leaves the parameter out
        raise InvalidInput(f"{name}: must be {_allowed(field)}, and is {show(', '.join(texts))}", field=name)
    return value


def _holds(field: FieldInfo, *kinds: type[inspect.Type]) -> bool:
    return any(isinstance(part, kinds) for part in _parts(inspect.type_info(field.type)))


def _parts(info: inspect.Type) -> Iterator[inspect.Type]:
    match info:
        case inspect.Metadata():
            yield from _parts(info.type)
        case inspect.UnionType():
            for part in info.types:
                yield from _parts(part)
        case _:
            yield info


def _allowed(field: FieldInfo) -> str:
    """What a parameter takes, in words; null is nothing that it could be."""
    parts = [
        part for part in _parts_with_meaning(inspect.type_info(field.type)) if not isinstance(part, inspect.NoneType)
    ]
    return " or ".join(describe(part) for part in parts)


def _parts_with_meaning(info: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(info, inspect.UnionType):
        yield from info.types
    else:
        yield info
