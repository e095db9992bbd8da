"""The options that a form folds away: made from the types that validate them, with limits and words."""

from __future__ import annotations

import functools
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import inspect

from daemons.core.models import CampaignRequest, JobSpec
from daemons.core.validation import describe
from daemons.runtime.schema import descriptions
from daemons.runtime.yaml_file import parse_scalar

_OF_JOBS: Final = frozenset({"compute_unit", "worker_id", "tags", "devices", "model_url", "num_inference_runs"})
_MAPPINGS: Final = (inspect.StructType, inspect.DictType)
_OF_CAMPAIGNS: Final = frozenset({"model_url", "jobs", "matrix", "name"})
"""What the form asks for by fields of its own, or makes itself."""

AS_IT_IS: Final = "default"
"""The choice that says nothing."""


class Option(NamedTuple):
    """Something that a job or a campaign may say."""

    name: str
    """As the API spells it."""
    about: str
    """What the types say of it; may be empty."""
    allowed: str
    """What it takes, in words."""
    default: str
    """What it is when nothing is said, in words; may be empty."""
    choices: tuple[str, ...]
    """What can be chosen, where that is not everything of a kind; the first one says nothing."""
    is_text: bool
    """What is written is meant letter by letter, and not as YAML."""
    is_mapping: bool
    """It holds names and values."""
    is_of_job: bool

    @property
    def label(self) -> str:
        """Its name for people."""
        return self.name.replace("_", " ")

    def value_of(self, text: str) -> Any:
        """What is meant by what was written. It is for `convert` to say whether that is allowed."""
        text = text.strip()
        if self.choices:
            return {"yes": True, "no": False}.get(text, text)
        if self.is_text:
            return text
        if self.is_mapping:
            return parse_scalar(text if text.startswith("{") else f"{{{text}}}")
        return number_of(text)

    def text_of(self, value: Any) -> str:
        """What one would write for a value: the reverse of `value_of`."""
        if isinstance(value, bool):
            return "yes" if value else "no"
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def number_of(text: str) -> Any:
    """The number that is written; what is none stays text, for the validation to say what is wrong with it."""
    text = text.strip()
    try:
        return int(text) if text.lstrip("+-").isdecimal() else float(text)
    except ValueError:
        return text


@functools.cache
def options() -> tuple[Option, ...]:
    """Every option of jobs, and then of campaigns, that has no field of its own."""
    return tuple(
        _option(field, about.get(field.name, ""), is_of_job=kind is JobSpec)
        for kind, left_out in ((JobSpec, _OF_JOBS), (CampaignRequest, _OF_CAMPAIGNS))
        for about in (descriptions(kind),)
        for field in msgspec.structs.fields(kind)
        if field.name not in left_out
    )


def allowed_of(kind: type[msgspec.Struct], name: str) -> str:
    """What a field takes, in words."""
    field = next(one for one in msgspec.structs.fields(kind) if one.name == name)
    return describe(_without_none(inspect.type_info(field.type)))


def _option(field: msgspec.structs.FieldInfo, about: str, *, is_of_job: bool) -> Option:
    info = _without_none(inspect.type_info(field.type))
    plain = info.type if isinstance(info, inspect.Metadata) else info
    default = "" if field.default in (msgspec.NODEFAULT, None) else field.default
    return Option(
        name=field.name,
        about=" ".join(about.split()).replace("None", "Empty"),
        allowed=_written(info) if isinstance(plain, _MAPPINGS) else describe(info),
        default=_words(default),
        choices=_choices(plain, default),
        is_text=isinstance(plain, inspect.StrType),
        is_mapping=isinstance(plain, _MAPPINGS),
        is_of_job=is_of_job,
    )


def _without_none(info: inspect.Type) -> inspect.Type:
    if isinstance(info, inspect.UnionType):
        kinds = [one for one in info.types if not isinstance(one, inspect.NoneType)]
        return kinds[0] if len(kinds) == 1 else inspect.UnionType(tuple(kinds))
    return info


def _choices(info: inspect.Type, default: Any) -> tuple[str, ...]:
    match info:
        case inspect.BoolType():
            return ("no", "yes")
        case inspect.LiteralType():
            words = [str(value) for value in info.values]
            return (AS_IT_IS, *words) if default == "" else (default, *(word for word in words if word != default))
        case _:
            return ()


def _written(info: inspect.Type) -> str:
    """How names and values are written here."""
    match info:
        case inspect.Metadata():
            return _written(info.type)
        case inspect.DictType(value_type=inspect.StructType() as value):
            return f"NAME: {{{_written(value)}}}, …"
        case inspect.DictType():
            return "NAME: value, …"
        case inspect.StructType(fields=fields):
            return ", ".join(f"{field.encode_name}: …" for field in fields)
        case _:
            return describe(info)


def _words(default: Any) -> str:
    match default:
        case bool():
            return "yes" if default else "no"
        case float():
            return f"{default:g}"
        case _:
            return str(default)
