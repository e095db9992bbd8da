"""The API's document, OpenAPI 3.1: made of the tables of routes, and of the types that requests and answers have."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from daemons.core.answers import Problem
from daemons.orchestrator.api import outgoing
from daemons.orchestrator.api.guard import Role
from daemons.orchestrator.api.links import links_of, operation_id
from daemons.orchestrator.api.routes import (
    EVENT_STREAM,
    JSON,
    LINES,
    PATH_PARAMETERS,
    Content,
    Route,
    Subject,
    content_of,
    refusals_of,
)
from daemons.orchestrator.api.schemas import Schema, Schemas

Document = dict[str, Any]

BASE: Final = "/api"

ABOUT: Final = """benchfleet benchmarks machine-learning models on a fleet of real devices.

A campaign is one model and a list of jobs. Each job runs on one device that has its compute unit, and its result is one
row of load times, inference times and peak memory.

A refusal is a document of type `application/problem+json` whose `error` is a sentence that says what to do. What is
refused has changed nothing. Lists are whole for as long as they fit; a longer one has a `next_cursor`, to be sent as
`cursor`. Every `GET` may be asked with `HEAD` as well."""

_ROLES: Final = {
    Role.VIEWER: "May look.",
    Role.OPERATOR: "May look, submit, cancel and change.",
    Role.WORKER: "A device: may look, and do its work.",
}

_REFUSALS: Final = {
    HTTPStatus.BAD_REQUEST: "Something in the request can't be accepted; the sentence says where, and what is allowed.",
    HTTPStatus.UNAUTHORIZED: "The server has tokens, and the request shows none that is known.",
    HTTPStatus.FORBIDDEN: "The token's role may not do this; or a foreign web page asks, or under a foreign name.",
    HTTPStatus.NOT_FOUND: "There is nothing of this name.",
    HTTPStatus.NOT_ACCEPTABLE: "None of the content types that the request accepts can be given.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time.",
    HTTPStatus.CONFLICT: "It contradicts what is recorded.",
    HTTPStatus.PRECONDITION_FAILED: "The condition that a header of the request names doesn't hold.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is over the size limit.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is of another content type than the one that is taken.",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "There is nothing in the range that was asked for.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The body has another hash than the request says.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Redis or Valkey doesn't answer; nothing is lost, try again.",
    HTTPStatus.INSUFFICIENT_STORAGE: "The orchestrator's disk is too full for it.",
}

_REFUSAL_HEADERS: Final = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "`Bearer`."},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "Seconds to wait."},
}


def openapi(subjects: Iterable[Subject], version: str) -> Document:
    """The whole document."""
    subjects = tuple(subjects)
    routes = [route for subject in subjects for route in subject.routes]
    schemas = Schemas(_types(routes))
    paths = _paths(subjects, schemas)
    for struct in _parameter_structs(routes):
        schemas.take(struct)
    return {
        "openapi": "3.1.0",
        "info": {"title": "benchfleet", "version": version, "description": ABOUT, "license": _LICENSE},
        "servers": [{"url": BASE}],
        "tags": [{"name": subject.name, "description": subject.text} for subject in subjects],
        "paths": paths,
        "webhooks": outgoing.webhooks(schemas),
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "responses": {_name(status): _refusal(status, schemas) for status in _all_refusals(routes)},
            "securitySchemes": {
                role.name.lower(): {"type": "http", "scheme": "bearer", "description": text}
                for role, text in _ROLES.items()
            },
        },
    }


def _paths(subjects: Iterable[Subject], schemas: Schemas) -> dict[str, dict[str, Any]]:
    routes = [(subject.name, route) for subject in subjects for route in subject.routes]
    paths: dict[str, dict[str, Any]] = {}
    for name, route in routes:
        operation = _operation(route, name, schemas)
        for status in route.answers:
            if links := links_of(route, status, [target for _, target in routes]):
                operation["responses"][str(int(status))]["links"] = links
        paths.setdefault(route.path.removeprefix(BASE), {})[route.method.lower()] = operation
    return paths


_LICENSE: Final = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


def _types(routes: Iterable[Route]) -> Iterator[Any]:
    yield Problem
    yield from outgoing.TYPES
    yield from PATH_PARAMETERS.values()
    for route in routes:
        for declared in (*route.answers.values(), route.body):
            content = content_of(declared)
            yield from (kind for kind in (content.type, content.line) if kind is not None)
    yield from _parameter_structs(routes)


def _parameter_structs(routes: Iterable[Route]) -> list[type[msgspec.Struct]]:
    found = {struct: None for route in routes for struct in (route.query, route.headers) if struct is not None}
    return list(found)


def _operation(route: Route, tag: str, schemas: Schemas) -> Document:
    operation: Document = {
        "tags": [tag],
        "summary": route.summary,
        "description": inspect.getdoc(route.handler) or "",
        "operationId": operation_id(route),
        "parameters": [*_path_parameters(route, schemas), *_other_parameters(route, schemas)],
        "responses": _responses(route, schemas),
        "security": [] if route.is_open else [*({role.name.lower(): []} for role in sorted(route.roles)), {}],
    }
    if route.body is not None:
        content = content_of(route.body)
        operation["requestBody"] = {
            "required": not route.is_body_optional,
            "content": _media(content, schemas),
        } | ({"description": content.text} if content.text else {})
    return operation


def _path_parameters(route: Route, schemas: Schemas) -> Iterator[Document]:
    for name in re.findall(r"{(\w+)}", route.path):
        schema = dict(schemas.of(PATH_PARAMETERS[name]))
        text = schema.pop("description", "")
        yield {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _other_parameters(route: Route, schemas: Schemas) -> Iterator[Document]:
    for struct, place in ((route.query, "query"), (route.headers, "header")):
        if struct is not None:
            whole = schemas.components[struct.__name__]
            for name, schema in whole["properties"].items():
                is_required = name in whole.get("required", ())
                yield {"name": name, "in": place, "required": is_required, **_of_text(schema)}


def _of_text(schema: Schema) -> Document:
    """A parameter's description and schema: it is there as text, or it isn't there, but it is never null."""
    plain = {key: value for key, value in schema.items() if key not in ("description", "anyOf")}
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    if len(options) == 1:
        plain |= options[0]
    elif options:
        plain["anyOf"] = options
    if plain.get("default", ...) is None:
        del plain["default"]
    return {"description": schema.get("description", ""), "schema": plain}


def _responses(route: Route, schemas: Schemas) -> Document:
    answers = {str(int(status)): _answer(status, declared, schemas) for status, declared in route.answers.items()}
    refusals = {str(status.value): {"$ref": f"#/components/responses/{_name(status)}"} for status in refusals_of(route)}
    return dict(sorted((answers | refusals).items()))


def _answer(status: int, declared: Any, schemas: Schemas) -> Document:
    content = content_of(declared)
    answer: Document = {"description": content.text or HTTPStatus(status).phrase}
    if content.headers:
        answer["headers"] = _headers(content.headers)
    if content.media:
        answer["content"] = _media(content, schemas)
    return answer


def _media(content: Content, schemas: Schemas) -> Document:
    found: Document = {}
    for media in content.media:
        schema: Schema = {"type": "string"}
        if media.endswith("json") and media != LINES:
            schema = schemas.of(content.type)
        elif media == EVENT_STREAM:
            schema = _server_sent(schemas.of(content.line))
        found[media] = {"schema": schema}
        if media.endswith("json") and media != LINES and content.example is not None:
            found[media]["example"] = content.example
    return found


def _server_sent(data: Schema) -> Schema:
    """One event of a stream, as the HTML standard reads it: its fields are text, and `data` is JSON."""
    return {
        "type": "object",
        "description": "Each event of the stream.",
        "properties": {
            "event": {"type": "string", "description": "The same as `type` in `data`."},
            "id": {"type": "string", "description": "`epoch` and `seq`, for `Last-Event-ID`."},
            "data": {"type": "string", "contentMediaType": JSON, "contentSchema": data},
        },
        "required": ["event", "id", "data"],
    }


def _headers(headers: Mapping[str, str]) -> Document:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()}


def _all_refusals(routes: Iterable[Route]) -> list[HTTPStatus]:
    return sorted({status for route in routes for status in refusals_of(route)})


def _refusal(status: HTTPStatus, schemas: Schemas) -> Document:
    answer: Document = {
        "description": _REFUSALS[status],
        "content": {"application/problem+json": {"schema": schemas.of(Problem)}},
    }
    return answer | ({"headers": _headers(_REFUSAL_HEADERS[status])} if status in _REFUSAL_HEADERS else {})


def _name(status: HTTPStatus) -> str:
    return status.phrase.replace(" ", "")
