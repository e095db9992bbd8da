"""Holds every answer of the API to what its route declares: status, content type, and each field of its JSON."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from daemons.core.answers import Problem
from daemons.orchestrator.api.app import ROUTES
from daemons.orchestrator.api.routes import EVENT_STREAM, LINES, Content, Route, content_of, refusals_of


def route_of(method: str, path: str) -> Route | None:
    """The route that a request takes, its path with ``/api``; None where there is none."""
    wanted = "GET" if method == "HEAD" else method
    found = [route for route in ROUTES if route.method == wanted and _pattern(route.path).fullmatch(path)]
    return min(found, key=lambda route: route.path.count("{"), default=None)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))


def disagreements(method: str, path: str, status: int, content_type: str, content: bytes) -> list[str]:
    """What is other than declared in an answer."""
    route = route_of(method, path)
    if route is None or status == 500:
        return []
    if status not in route.answers:
        wrong = [] if status in refusals_of(route) else [f"{status} is not among its refusals"]
        return wrong + _differences(content, Problem, method)
    declared = content_of(route.answers[status])
    if declared.media and content_type not in declared.media:
        return [f"its content type is {content_type}"]
    if content_type in (LINES, EVENT_STREAM):
        lines = [line for line in content.splitlines() if content_type == LINES or line.startswith(b"data: ")]
        return [wrong for line in lines for wrong in _differences(line.removeprefix(b"data: "), declared.line, method)]
    return _differences(content, declared.type, method) if _is_json(content_type, declared) else []


def _is_json(content_type: str, declared: Content) -> bool:
    return declared.type is not None and content_type.endswith("json")


def _differences(content: bytes, wanted: Any, method: str) -> list[str]:
    """What is lost or changed on the way through the declared type: a key that it doesn't have, most likely."""
    if method == "HEAD":
        return [f"HEAD has a body: {content[:80]!r}"] if content else []
    try:
        typed = msgspec.json.decode(content, type=wanted)
    except msgspec.DecodeError as error:
        return [f"{error}: {content[:2000]!r}"]
    return sorted(_unequal(msgspec.json.decode(content), msgspec.to_builtins(typed), ""))


def _unequal(said: Any, declared: Any, place: str) -> set[str]:
    if isinstance(said, dict) and isinstance(declared, dict):
        found = {f"{place}.{key} is not declared" for key in said.keys() - declared.keys()}
        found |= {f"{place}.{key} is missing" for key in declared.keys() - said.keys()}
        return found.union(
            *(_unequal(said[key], declared[key], f"{place}.{key}") for key in said.keys() & declared.keys())
        )
    if isinstance(said, list) and isinstance(declared, list) and len(said) == len(declared):
        return set().union(*(_unequal(*pair, f"{place}[]") for pair in zip(said, declared, strict=True)))
    return set() if said == declared else {f"{place} is {said!r} and declared to be {declared!r}"}
