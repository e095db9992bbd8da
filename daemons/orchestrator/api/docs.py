"""The page at ``/api/docs``: the API's document, written out as HTML. It needs no script and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from http import HTTPStatus
from typing import Any, Final

from daemons.orchestrator.api.docs_style import STYLE

Document = Mapping[str, Any]

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may do: show itself in its own style."""

_METHODS: Final = ("get", "post", "put", "delete", "patch")


def page(document: Document) -> str:
    """The whole page."""
    info, tags = document["info"], document["tags"]
    by_tag = {tag["name"]: [op for op in _operations(document) if tag["name"] in op[2]["tags"]] for tag in tags}
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(info['title'])} API</title><style>{STYLE}</style></head><body>",
        f"<nav>{''.join(_contents(by_tag))}</nav><main>",
        f"<h1>{escape(info['title'])} API <small>{escape(info['version'])}</small></h1>{_prose(info['description'])}",
        "<p>For programs: <a href='openapi.json'>openapi.json</a> (OpenAPI 3.1).</p>",
        *_access(document),
    ]
    for tag in tags:
        parts.append(f"<h2 id='{_anchor(tag['name'])}'>{escape(tag['name'])}</h2>{_prose(tag['description'])}")
        parts.extend(_operation(document, *operation) for operation in by_tag[tag["name"]])
    parts.append("<h2 id='types'>Types</h2>")
    parts.extend(_type(name, schema) for name, schema in document["components"]["schemas"].items())
    return "".join((*parts, "</main></body></html>"))


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        yield from ((method, path, item[method]) for method in _METHODS if method in item)


def _contents(by_tag: Mapping[str, list[tuple[str, str, Document]]]) -> Iterator[str]:
    for name, operations in by_tag.items():
        yield f"<h2><a href='#{_anchor(name)}'>{escape(name)}</a></h2><ul>"
        for method, path, operation in operations:
            title = escape(f"{method.upper()} {path}", quote=True)
            yield f"<li><a href='#{operation['operationId']}' title='{title}'>{escape(operation['summary'])}</a></li>"
        yield "</ul>"
    yield "<h2><a href='#types'>Types</a></h2>"


def _access(document: Document) -> Iterator[str]:
    yield "<h2 id='access'>Who may ask</h2><p>A server without tokens serves its own machine alone, and asks for none. "
    yield "Otherwise each request shows one: <code>Authorization: Bearer TOKEN</code>. Its role decides:</p><dl>"
    for role, scheme in document["components"]["securitySchemes"].items():
        yield f"<dt>{escape(role)}</dt><dd>{_inline(scheme['description'])}</dd>"
    yield "</dl>"


def _operation(document: Document, method: str, path: str, operation: Document) -> str:
    base = document["servers"][0]["url"]
    roles = [role for choice in operation["security"] for role in choice]
    parts = [
        f"<section id='{operation['operationId']}'><h3><b class='{method}'>{method.upper()}</b> ",
        f"<code>{escape(base + path)}</code></h3><p class='summary'>{escape(operation['summary'])} ",
        f"<span class='roles'>{escape(', '.join(roles) or 'anybody')}</span></p>{_prose(operation['description'])}",
        *_parameters(operation["parameters"]),
        *_body(operation.get("requestBody")),
        *_responses(document, operation["responses"]),
        "</section>",
    ]
    return "".join(parts)


def _parameters(parameters: list[Document]) -> Iterator[str]:
    if parameters:
        yield "<h4>Parameters</h4>"
        yield _table(
            (
                f"<code>{escape(one['name'])}</code>",
                one["in"],
                _kind(one["schema"]) + _default(one["schema"]),
                _inline(one["description"]),
            )
            for one in parameters
        )


def _body(body: Document | None) -> Iterator[str]:
    if body is None:
        return
    yield f"<h4>Body{'' if body['required'] else ', if any'}</h4>{_prose(body.get('description', ''))}"
    yield from _contents_of(body["content"])


def _contents_of(content: Mapping[str, Document]) -> Iterator[str]:
    yield "<ul class='content'>"
    for media, held in content.items():
        kind = "" if held["schema"] == {"type": "string"} else f": {_kind(held['schema'])}"
        yield f"<li><code>{escape(media)}</code>{kind}</li>"
    yield "</ul>"
    for held in content.values():
        if "example" in held:
            yield f"<pre>{escape(json.dumps(held['example'], indent=2, ensure_ascii=False))}</pre>"


def _responses(document: Document, responses: Mapping[str, Document]) -> Iterator[str]:
    refusals = []
    yield "<h4>Answers</h4>"
    for status, response in responses.items():
        if "$ref" in response:
            refusals.append(status)
            continue
        yield f"<p><b>{status}</b> {_inline(response['description'])}</p>"
        yield from _header_list(response.get("headers", {}))
        yield from _contents_of(response["content"]) if "content" in response else ()
    yield "<details><summary>May be refused with "
    yield f"{', '.join(refusals)}</summary>"
    yield _table(
        (f"<b>{status}</b>", escape(HTTPStatus(int(status)).phrase), _inline(_refusal(document, responses[status])))
        for status in refusals
    )
    yield "</details>"


def _header_list(headers: Mapping[str, Document]) -> Iterator[str]:
    for name, header in headers.items():
        yield f"<p class='header'><code>{escape(name)}</code> {_inline(header['description'])}</p>"


def _refusal(document: Document, response: Document) -> str:
    name = response["$ref"].rpartition("/")[2]
    return str(document["components"]["responses"][name]["description"])


def _type(name: str, schema: Document) -> str:
    required = schema.get("required", ())
    rows = (
        (
            f"<code>{escape(key)}</code>{'' if key in required else ' <i>optional</i>'}",
            _kind(value) + _default(value),
            _inline(value.get("description", "")),
        )
        for key, value in schema.get("properties", {}).items()
    )
    table = _table(rows) if "properties" in schema else f"<p>{_kind(schema)}</p>"
    head = f"<section id='type-{escape(name)}'><h3>{escape(name)}</h3>{_prose(schema.get('description', ''))}"
    return f"{head}{table}</section>"


def _table(rows: Iterator[tuple[str, ...]]) -> str:
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class='wide'><table>{lines}</table></div>"


def _kind(schema: Document) -> str:
    """What a schema takes, in a few words, with links to the types that it names."""
    match schema:
        case {"$ref": str(reference)}:
            name = escape(reference.rpartition("/")[2])
            return f"<a href='#type-{name}'>{name}</a>"
        case {"anyOf": list(options)}:
            return " or ".join(_kind(option) for option in options)
        case {"enum": list(words)}:
            return " | ".join(f"<code>{escape(json.dumps(word))}</code>" for word in words)
        case {"type": "array", "items": dict(item)}:
            return f"list of {_kind(item)}{_limits(schema, 'minItems', 'maxItems', ' items')}"
        case {"type": "object", "properties": {"data": {"contentSchema": dict(data)}}}:
            return f"events whose <code>data</code> is {_kind(data)}"
        case {"type": "object", "additionalProperties": dict(item)}:
            return f"object of {_kind(item)}"
        case {"type": "string"}:
            return str(schema.get("format", "text")) + _limits(schema, "minLength", "maxLength", " characters")
        case {"type": str(kind)}:
            return kind + _limits(schema, "minimum", "maximum", "")
        case _:
            return "anything"


def _limits(schema: Document, least: str, most: str, unit: str) -> str:
    low = schema.get(least, schema.get("exclusiveMinimum") if least == "minimum" else None)
    high = schema.get(most)
    match (low, high):
        case (None, None):
            return ""
        case (None, _):
            return f", at most {high:,}{unit}"
        case (_, None):
            return f", at least {low:,}{unit}"
        case _:
            return f", {low:,} to {high:,}{unit}"


def _default(schema: Document) -> str:
    if schema.get("default") in (None, [], {}):
        return ""
    return f"; default <code>{escape(json.dumps(schema['default']))}</code>"


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(part)}</p>" for part in text.split("\n\n") if part.strip())


def _inline(text: str) -> str:
    return re.sub(r"(`+)([^`]+)\1", r"<code>\2</code>", escape(" ".join(text.split())))


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z]+", "-", name.lower())
