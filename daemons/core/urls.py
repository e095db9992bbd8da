"""Which model URLs are taken at all. Which addresses they may lead to is checked where the connection is made."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from daemons.core.errors import InvalidInput

SCHEMES: Final = ("http", "https")
BUILTIN: Final = "builtin:"
"""What begins so names a model that every worker brings along. Users' campaigns can't: it is no scheme of theirs."""
KEPT: Final = "model:"
"""What begins so names a model that the orchestrator keeps: `KeptModel` says how."""
BY_HASH: Final = "sha256"
MAX_FILE_NAME: Final = 255
DEFAULT_FILE_NAME: Final = "model"

NAME_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9._+@=-]{0,199}$"
"""What a model can be kept under; see `check_model_name`."""

_NAME: Final = re.compile(NAME_PATTERN.strip("^$"))
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class KeptModel(NamedTuple):
    """What a ``model:`` URL names: ``model:NAME``, ``model:sha256:HEX`` or ``model:sha256:HEX/NAME``.

    By its name alone a model is the one that was uploaded last; by its hash it is those very bytes, and the name is
    what they are called.
    """

    name: str | None = None
    sha256: str | None = None

    @property
    def url(self) -> str:
        """The URL that names it."""
        if self.sha256 is None:
            return f"{KEPT}{self.name}"
        return f"{KEPT}{BY_HASH}:{self.sha256}" + (f"/{self.name}" if self.name else "")


def check_model_url(url: str, field: str = "model_url") -> str:
    """The URL, if a worker could fetch it; otherwise InvalidInput that says what is wrong with it, as the `field`."""
    if not url.isprintable() or " " in url:
        raise InvalidInput(f"{field}: must not hold spaces or control characters", field=field)
    if url.startswith(KEPT):
        kept_model(url, field)
        return url
    try:
        parts = urlsplit(url)
        port_is_given = parts.port is not None
    except ValueError as error:
        raise InvalidInput(f"{field}: is not a URL ({error})", field=field) from error
    if parts.scheme.lower() not in SCHEMES:
        found = f"{parts.scheme}://" if parts.scheme else repr(url[:60])
        raise InvalidInput(f"{field}: must begin with http:// or https://, or with model:, and is {found}", field=field)
    if not parts.hostname or (port_is_given and parts.port == 0):
        raise InvalidInput(f"{field}: names no host to fetch the model from", field=field)
    return url


def kept_model(url: str, field: str = "model_url") -> KeptModel | None:
    """What a ``model:`` URL names, None for any other URL; InvalidInput if it names nothing that could be kept."""
    if not url.startswith(KEPT):
        return None
    text = url.removeprefix(KEPT)
    if text != BY_HASH and not text.startswith(f"{BY_HASH}:"):
        return KeptModel(name=check_model_name(text, f"{field}: model:", field))
    digest, _, name = text.removeprefix(BY_HASH).removeprefix(":").partition("/")
    if not _HASH.fullmatch(digest.lower()):
        raise InvalidInput(
            f"{field}: model:sha256: must be followed by 64 hexadecimal digits, and is followed by {digest[:70]!r}",
            field=field,
        )
    return KeptModel(check_model_name(name, f"{field}: ", field) if name else None, digest.lower())


def check_model_name(name: str, where: str = "", field: str = "name") -> str:
    """The name, if a model can be kept under it; otherwise InvalidInput. It is never used as a path."""
    if not _NAME.fullmatch(name) or name == BY_HASH:
        raise InvalidInput(
            f"{where}a model's name is 1 to 200 letters, digits and the signs . _ + @ = -, begins with a letter, a "
            f"digit or _, and isn't {BY_HASH!r}; {name[:60]!r} can't be one",
            field=field,
        )
    return name


def is_sha256(text: str) -> bool:
    """Whether it is a SHA-256, as it is written here: in 64 small hexadecimal digits."""
    return _HASH.fullmatch(text) is not None


def model_file_name(url: str) -> str:
    """What a model is called: the last segment of its URL's path, decoded; never a path, never control characters."""
    if url.startswith(BUILTIN):
        path = f"{url.removeprefix(BUILTIN)}.onnx"
    elif url.startswith(KEPT):
        path = url.removeprefix(KEPT).removeprefix(f"{BY_HASH}:")
    else:
        path = re.split(r"[?#]", re.sub(r"^[a-zA-Z]+://[^/?#]*", "", url), maxsplit=1)[0]
    last = re.split(r"[/\\]", unquote(path).rstrip("/\\"))[-1]
    clean = "".join(letter for letter in last if letter.isprintable()).strip()
    return clean[:MAX_FILE_NAME] if clean.strip(".") else DEFAULT_FILE_NAME


def name_to_keep(path: str) -> str:
    """What a file is kept as: its own name, with a dash for what can't be in one."""
    name = re.sub(r"[^A-Za-z0-9._+@=-]+", "-", re.split(r"[/\\]", path)[-1]).lstrip(".+@=-")[-200:]
    return name if name and name != BY_HASH else DEFAULT_FILE_NAME
