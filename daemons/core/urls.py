"""Which model URLs are taken at all. Which addresses they may lead to is checked where the connection is made."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

from daemons.core.errors import InvalidInput

SCHEMES: Final = ("http", "https")
BUILTIN: Final = "builtin:"
"""What begins so names a model that every worker brings along. Users' campaigns can't: it is no scheme of theirs."""
MAX_FILE_NAME: Final = 255
DEFAULT_FILE_NAME: Final = "model"


def check_model_url(url: str) -> str:
    """The URL, if a worker could fetch it; otherwise InvalidInput that says what is wrong with it."""
    if not url.isprintable() or " " in url:
        raise InvalidInput("model_url: must not hold spaces or control characters", field="model_url")
    try:
        parts = urlsplit(url)
        port_is_given = parts.port is not None
    except ValueError as error:
        raise InvalidInput(f"model_url: is not a URL ({error})", field="model_url") from error
    if parts.scheme.lower() not in SCHEMES:
        found = f"{parts.scheme}://" if parts.scheme else repr(url[:60])
        raise InvalidInput(f"model_url: must begin with http:// or https://, and is {found}", field="model_url")
    if not parts.hostname or (port_is_given and parts.port == 0):
        raise InvalidInput("model_url: names no host to fetch the model from", field="model_url")
    return url


def model_file_name(url: str) -> str:
    """What a model is called: the last segment of its URL's path, decoded; never a path, never control characters."""
    if url.startswith(BUILTIN):
        path = f"{url.removeprefix(BUILTIN)}.onnx"
    else:
        path = re.split(r"[?#]", re.sub(r"^[a-zA-Z]+://[^/?#]*", "", url), maxsplit=1)[0]
    last = re.split(r"[/\\]", unquote(path).rstrip("/\\"))[-1]
    clean = "".join(letter for letter in last if letter.isprintable()).strip()
    return clean[:MAX_FILE_NAME] if clean.strip(".") else DEFAULT_FILE_NAME
