"""A program's configuration: its YAML file, then the environment over it, checked as a whole.

It takes the type of the settings as an argument: a Struct of sections, each of which is a Struct with defaults.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from daemons.core.errors import ConfigInvalid
from daemons.core.validation import Mistake, find_mistakes, spell
from daemons.runtime.yaml_file import Document, KeyPath, parse_scalar, read_document

T = TypeVar("T", bound=msgspec.Struct)

PREFIX: Final = "BENCHFLEET_"
SYSTEM_FOLDER: Final = Path("/etc/benchfleet")
CONFIG_VARIABLE: Final = "BENCHFLEET_CONFIG"
OTHER_VARIABLES: Final = frozenset({CONFIG_VARIABLE, "BENCHFLEET_URL", "BENCHFLEET_TOKEN_FILE"})
"""Variables that aren't keys of any file: clients read the last two."""


def load_settings(
    kind: type[T],
    program: str,
    given: str | Path | None = None,
    *,
    known_keys: Collection[str],
    environ: Mapping[str, str] = os.environ,
) -> T:
    """The settings of `program`, from the file that `find_config` finds, the environment and the defaults.

    `known_keys` are those of all programs that may share this environment, spelt ``section.key``: variables for them
    are accepted, and count for this program if it has that key. ConfigInvalid names every mistake.
    """
    return read_settings(kind, find_config(program, given, environ), known_keys=known_keys, environ=environ)


def find_config(
    program: str, given: str | Path | None, environ: Mapping[str, str], system_folder: Path = SYSTEM_FOLDER
) -> Path | None:
    """The file to read: `given`, else $BENCHFLEET_CONFIG, else the first that exists of the user's and the system's.

    A file that is named need not exist: reading it will say so. None: no file, all is default.
    """
    named = given or environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    usual = [folder / f"{program}.yaml" for folder in (*_user_folders(environ), system_folder)]
    return next((path for path in usual if os.path.lexists(path)), None)


def _user_folders(environ: Mapping[str, str]) -> Iterator[Path]:
    for variable, below in (("XDG_CONFIG_HOME", "benchfleet"), ("HOME", ".config/benchfleet")):
        base = environ.get(variable, "")
        if os.path.isabs(base):  # noqa: PTH117 (a string, maybe "")
            yield Path(base) / below


def read_settings(
    kind: type[T],
    path: Path | None,
    *,
    known_keys: Collection[str] = (),
    environ: Mapping[str, str] | None = None,
) -> T:
    """The settings that the file at `path` (None: no file) and `environ` (None: no environment) make together."""
    document = read_document(path) if path is not None else Document({}, {})
    content = _without_empty_sections(document.content, kind)
    allowed = {*known_keys, *_keys_of(kind)}
    overrides, strangers = _overrides(environ or {}, allowed)
    for variable, (section, key) in overrides.items():
        _override(content, kind, section, key, (environ or {})[variable])
    by_key: dict[KeyPath, str] = {key_path: variable for variable, key_path in overrides.items()}
    mistakes = [*strangers, *(_located(mistake, path, document, by_key) for mistake in find_mistakes(content, kind))]
    if mistakes:
        raise ConfigInvalid("; ".join(mistakes), mistakes=tuple(mistakes))
    return msgspec.convert(content, kind)


def _sections_of(kind: type[msgspec.Struct]) -> dict[str, dict[str, Any]]:
    """Section → key → the type of its value."""
    return {
        section.encode_name: {key.encode_name: key.type for key in msgspec.structs.fields(section.type)}
        for section in msgspec.structs.fields(kind)
    }


def _keys_of(kind: type[msgspec.Struct]) -> set[str]:
    return {f"{section}.{key}" for section, keys in _sections_of(kind).items() for key in keys}


def _without_empty_sections(content: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """A section whose keys are all commented out is null in YAML, and means: all defaults."""
    known = _sections_of(kind)
    return {key: value for key, value in content.items() if value is not None or key not in known}


def _overrides(environ: Mapping[str, str], allowed: set[str]) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Variable → section and key, and a sentence for each variable that means nothing."""
    variables = {_variable(key): key for key in allowed}
    ours = sorted(name for name in environ if name.startswith(PREFIX) and name not in OTHER_VARIABLES)
    found = {name: _split(variables[name]) for name in ours if name in variables}
    strangers = [_stranger(name, [*variables, *OTHER_VARIABLES]) for name in ours if name not in variables]
    return found, strangers


def _variable(key: str) -> str:
    return PREFIX + key.replace(".", "__").upper()


def _split(key: str) -> tuple[str, str]:
    section, _, name = key.partition(".")
    return section, name


def _stranger(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name.removeprefix(PREFIX), [other.removeprefix(PREFIX) for other in known], n=1)
    example = min(other for other in known if "__" in other)
    hint = f"did you mean {PREFIX}{close[0]}?" if close else f"a key is set by {PREFIX}SECTION__KEY, such as {example}"
    return f"{name}: no setting has this environment variable; {hint}"


def _override(content: dict[str, Any], kind: type[msgspec.Struct], section: str, key: str, text: str) -> None:
    keys = _sections_of(kind).get(section, {})
    held = content.setdefault(section, {}) if key in keys else None
    if isinstance(held, dict):  # a section that is no mapping is a mistake of the file, told as such
        content[section] = {**held, key: _value(text, keys[key])}


def _value(text: str, wanted: Any) -> Any:
    """What a variable's text means to a key: YAML, or the text itself where only that fits (a name such as ``42``)."""
    parsed = parse_scalar(text)
    return text if find_mistakes(parsed, wanted) and not find_mistakes(text, wanted) else parsed


def _located(mistake: Mistake, path: Path | None, document: Document, by_key: Mapping[KeyPath, str]) -> str:
    key = f"{spell(mistake.path)}: " if mistake.path else ""
    variable = by_key.get(mistake.path[:2])
    where = variable or f"{path}:{document.line_of(mistake.path)}"
    return f"{where}: {key}{mistake.problem}"
