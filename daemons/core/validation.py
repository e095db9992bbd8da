"""From JSON or YAML to a typed value, or to sentences that say what is wrong, where, and what is allowed.

msgspec decides what is valid, in one fast pass. Only when it refuses is the document walked slowly, to find every
mistake and to name the value that was found.
"""

from __future__ import annotations

import difflib
import json
import re
import types
import typing
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from daemons.core.errors import InvalidInput

T = TypeVar("T")

MAX_MISTAKES: Final = 20

_CREDENTIALS = re.compile(r"://[^/@\s\"]*@")


class Mistake(msgspec.Struct, frozen=True):
    """One thing that is wrong. `path` leads to it, such as ``("jobs", 0, "compute_unit")``."""

    path: tuple[str | int, ...]
    problem: str

    def __str__(self) -> str:
        return f"{spell(self.path)}: {self.problem}" if self.path else self.problem


def spell(path: tuple[str | int, ...]) -> str:
    """A path as people write it: ``jobs[0].compute_unit``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def decode_json(body: bytes, wanted: type[T]) -> T:
    """The value of type `wanted` that `body` holds, or InvalidInput with every mistake in it."""
    try:
        return _decode_or_convert(body, wanted)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the body is not valid JSON: {error}") from error
    except RecursionError as error:
        raise InvalidInput("the body is nested too deeply to be JSON for this server") from error


def _decode_or_convert(body: bytes, wanted: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.ValidationError:
        # The typed decoder stops at the first mistake, which may stand before one in the JSON itself.
        return convert(msgspec.json.decode(body), wanted)


def convert(document: Any, wanted: type[T]) -> T:
    """The value of type `wanted` that a parsed document stands for, or InvalidInput with every mistake in it."""
    try:
        return msgspec.convert(document, wanted)
    except msgspec.ValidationError as error:
        found = find_mistakes(document, wanted) or [Mistake((), str(error))]
        texts = tuple(str(mistake) for mistake in found)
        raise InvalidInput("; ".join(texts[:3]), field=spell(found[0].path) or None, mistakes=texts) from error


def find_mistakes(document: Any, wanted: Any) -> list[Mistake]:
    """Every mistake in `document` as a `wanted`, at most `MAX_MISTAKES` of them, in the document's order."""
    mistakes: list[Mistake] = []
    _walk(document, wanted, (), mistakes)
    return mistakes[:MAX_MISTAKES]


def _walk(value: Any, wanted: Any, path: tuple[str | int, ...], mistakes: list[Mistake]) -> None:
    if len(mistakes) >= MAX_MISTAKES or _fits(value, wanted):
        return
    container = _container_for(value, wanted)
    if isinstance(container, type) and issubclass(container, msgspec.Struct):
        before = len(mistakes)
        _walk_object(value, container, path, mistakes)
        if len(mistakes) == before:  # each key is right in itself, and the object refuses them together
            mistakes.append(Mistake(path, _refusal(value, wanted)))
    elif container is not None and _has_right_length(value, wanted, path, mistakes):
        *key_type, item_type = typing.get_args(container)
        mistakes.extend(_wrong_keys(value, key_type, path))
        for step, item in value.items() if isinstance(value, dict) else enumerate(value):
            _walk(item, item_type, (*path, step), mistakes)
    elif container is None:
        allowed = describe(inspect.type_info(wanted))
        mistakes.append(Mistake(path, f"must be {allowed}, and is {show(value)}"))


def _fits(value: Any, wanted: Any) -> bool:
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        return False
    return True


def _refusal(value: Any, wanted: Any) -> str:
    """What msgspec says against `value`, without the place that it names in a syntax of its own."""
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        return str(error).rpartition(" - at `")[0] or str(error)
    return "is refused"


def _container_for(value: Any, wanted: Any) -> Any:
    """The object, mapping or list type in `wanted` that `value` is a failed attempt at, or None if there is none."""
    plain = typing.get_args(wanted)[0] if typing.get_origin(wanted) is typing.Annotated else wanted
    for option in typing.get_args(plain) if typing.get_origin(plain) in (typing.Union, types.UnionType) else (plain,):
        if isinstance(value, dict) and isinstance(option, type) and issubclass(option, msgspec.Struct):
            return option
        if isinstance(value, list | dict) and typing.get_origin(option) is type(value):
            return option
    return None


def _walk_object(
    value: dict[Any, Any], wanted: type[msgspec.Struct], path: tuple[str | int, ...], mistakes: list[Mistake]
) -> None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(wanted)}
    for key, item in value.items():
        if key in fields:
            _walk(item, fields[key].type, (*path, key), mistakes)
        elif wanted.__struct_config__.forbid_unknown_fields:
            mistakes.append(Mistake((*path, str(key)), _unknown_key(str(key), list(fields))))
    mistakes.extend(
        Mistake((*path, name), f"is missing; it takes {describe(inspect.type_info(field.type))}")
        for name, field in fields.items()
        if field.required and name not in value
    )


def _wrong_keys(value: Any, key_type: list[Any], path: tuple[str | int, ...]) -> Iterator[Mistake]:
    """Keys of a mapping that have not the form that they must have; a list has none."""
    for key in value if key_type else ():
        if not _fits(key, key_type[0]):
            yield Mistake(path, f"each key must be {describe(inspect.type_info(key_type[0]))}, and one is {show(key)}")


def _unknown_key(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean `{close[0]}`?" if close else f"allowed are {', '.join(sorted(known))}"
    return f"there is no such key; {hint}"


def _has_right_length(
    value: list[Any] | dict[Any, Any], wanted: Any, path: tuple[str | int, ...], mistakes: list[Mistake]
) -> bool:
    info = inspect.type_info(wanted)
    least, most = getattr(info, "min_length", None) or 0, getattr(info, "max_length", None)
    if len(value) < least:
        mistakes.append(Mistake(path, f"must hold at least {least}, and holds {len(value)}"))
    elif most is not None and len(value) > most:
        mistakes.append(Mistake(path, f"must hold at most {most:,}, and holds {len(value):,}"))
    else:
        return True
    return False


def show(value: Any, limit: int = 60) -> str:
    """A found value as it stands in JSON, cut where it is long, without the credentials of addresses."""
    text = _CREDENTIALS.sub("://…@", json.dumps(value, ensure_ascii=True, default=str))
    return text if len(text) <= limit else f"{text[:limit]}…"


_PLAIN: Final = {inspect.BoolType: "true or false", inspect.NoneType: "null"}


def describe(info: inspect.Type) -> str:
    """What a place takes, in words."""
    match info:
        case inspect.Metadata():
            allowed = (info.extra or {}).get("allowed")
            return allowed if isinstance(allowed, str) else describe(info.type)
        case inspect.IntType():
            return f"a whole number{_range(info)}"
        case inspect.FloatType():
            return f"a number{_range(info)}"
        case inspect.StrType():
            return f"text{_length(info)}"
        case inspect.ListType():
            return f"a list, each item {describe(info.item_type)}"
        case inspect.EnumType():
            return f"one of {', '.join(str(member.value) for member in info.cls)}"
        case inspect.LiteralType():
            return f"one of {', '.join(str(value) for value in info.values)}"
        case inspect.UnionType():
            return " or ".join(describe(item) for item in info.types)
        case inspect.StructType():
            return f"an object with the keys {', '.join(field.encode_name for field in info.fields)}"
        case _:
            return _PLAIN.get(type(info), "an object")


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    low = info.ge if info.ge is not None else info.gt
    high = info.le if info.le is not None else info.lt
    above = "above " if info.ge is None else ""
    match (low, high):
        case (None, None):
            return ""
        case (None, _):
            return f" up to {high:,}"
        case (_, None):
            return f" {above or 'of at least '}{low:,}"
        case _:
            return f" from {above}{low:,} to {high:,}"


def _length(info: inspect.StrType) -> str:
    if info.pattern is not None:
        return f" of the form {info.pattern}"
    if info.min_length and info.max_length:
        return f" of {info.min_length} to {info.max_length:,} characters"
    if info.max_length:
        return f" of at most {info.max_length:,} characters"
    return ""
