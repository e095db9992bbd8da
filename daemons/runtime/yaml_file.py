"""A YAML document with the line of each key, and sentences for everything that keeps it from being one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from daemons.core.errors import ConfigInvalid

KeyPath = tuple[str | int, ...]

MAX_BYTES: Final = 2**20


class Document(msgspec.Struct, frozen=True):
    """What a file says, and on which line each of its keys stands (counted from 1)."""

    content: dict[str, Any]
    lines: dict[KeyPath, int]

    def line_of(self, path: KeyPath) -> int:
        """The line of `path`, or of the nearest key above it that the file has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_document(path: Path) -> Document:
    """The mapping in the file at `path`, empty for an empty file. ConfigInvalid if it can't be read as one."""
    return parse_document(_read_text(path), str(path))


def parse_document(text: str, name: str) -> Document:
    """As `read_document`, from text; `name` is what mistakes call it."""
    try:
        return _parse(_Loader(text), name)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigInvalid(f"{name}:{line}: is not text: it has the character {error.character:#06x}") from error
    except yaml.MarkedYAMLError as error:
        raise ConfigInvalid(_as_sentence(error, name)) from error
    except RecursionError as error:
        raise ConfigInvalid(f"{name}: is nested too deeply, or an alias in it contains itself") from error
    except (ValueError, LookupError, AttributeError) as error:
        # What PyYAML lets out where a value contradicts the tag before it, such as `!!bool maybe`.
        raise ConfigInvalid(f"{name}: a value doesn't fit the `!!` tag before it; remove the tag") from error


class _Loader(yaml.SafeLoader):
    """The safe loader, to which a date is text: no setting is a date, and 2026-99-99 would be an error of its own."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _parse(loader: _Loader, name: str) -> Document:
    root = loader.get_single_node()
    if root is None or root.tag == "tag:yaml.org,2002:null":
        return Document({}, {})
    if not isinstance(root, yaml.MappingNode):
        raise ConfigInvalid(f"{name}:1: must hold sections with keys, such as `log:`, and holds {_kind_of(root)}")
    _refuse_duplicates(root, name)
    return Document(loader.construct_document(root), dict(_lines(root, ())))


def parse_scalar(text: str) -> Any:
    """What `text` stands for in YAML: a number, true or false, null, text, or a list in brackets.

    Text that is no YAML is itself.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (it is a SafeLoader)
    except (yaml.YAMLError, ValueError, LookupError, AttributeError):
        return text


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigInvalid(f"{path}: there is no such file") from error
    except OSError as error:
        raise ConfigInvalid(f"{path}: can't be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise ConfigInvalid(f"{path}: is larger than {MAX_BYTES:,} bytes, and so no configuration file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigInvalid(f"{path}:{line}: is not UTF-8 text (byte {content[error.start]:#04x})") from error


def _lines(node: yaml.Node, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            yield from _lines(value, here)
            yield here, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _lines(item, (*path, index))


def _refuse_duplicates(root: yaml.Node, name: str) -> None:
    """YAML's readers let the last of two equal keys win: half of what a person wrote would be ignored in silence."""
    mistakes = tuple(
        f"{name}:{line}: {key}: stands here twice, first on line {first}; remove one of the two"
        for key, first, line in _duplicates(root, "")
    )
    if mistakes:
        raise ConfigInvalid("; ".join(mistakes), mistakes=mistakes)


def _duplicates(node: yaml.Node, above: str) -> Iterator[tuple[str, int, int]]:
    if not isinstance(node, yaml.MappingNode):
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        name, line = f"{above}{key.value}", key.start_mark.line + 1
        if name in first:
            yield name, first[name], line
        first.setdefault(name, line)
        yield from _duplicates(value, f"{name}.")


def _kind_of(node: yaml.Node) -> str:
    return "a list" if isinstance(node, yaml.SequenceNode) else "a single value"


def _as_sentence(error: yaml.MarkedYAMLError, name: str) -> str:
    where = f"{name}:{error.problem_mark.line + 1}" if error.problem_mark else name
    problem = error.problem or "can't be read as YAML"
    if "'\\t'" in problem:
        return f"{where}: a tab stands where YAML wants spaces; indent with spaces"
    if "expected a single document" in f"{error.context} {problem}":
        return f"{where}: a second document begins here (`---`); a configuration is a single one"
    context = f" ({error.context})" if error.context else ""
    return f"{where}: is not valid YAML: {problem}{context}"
