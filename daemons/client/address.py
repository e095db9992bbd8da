"""Where an orchestrator is, and the token that is shown to it: from arguments, files and the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import yarl

from daemons.core.errors import ConfigInvalid

URL_VARIABLE: Final = "BENCHFLEET_URL"
TOKEN_FILE_VARIABLE: Final = "BENCHFLEET_TOKEN_FILE"  # noqa: S105 (the name of a variable)
USUAL_URL: Final = "http://127.0.0.1:5000"


class Address(NamedTuple):
    """An orchestrator's URL, and the file that holds the token for it."""

    url: str
    token_file: Path | None


def chosen(url: str | None = None, token_file: str | Path | None = None) -> Address:
    """What is given, else what the environment says, else an orchestrator on this machine without tokens."""
    file = token_file or os.environ.get(TOKEN_FILE_VARIABLE) or None
    return Address(url or os.environ.get(URL_VARIABLE) or USUAL_URL, None if file is None else Path(file).expanduser())


def base_of(url: str) -> str:
    """The server's address without a trailing slash or ``/api``, or ConfigInvalid."""
    try:
        parsed = yarl.URL(url)
    except ValueError as error:
        raise ConfigInvalid("the orchestrator's address is no URL; it must look like http://HOST:PORT") from error
    if parsed.user or parsed.password:
        raise ConfigInvalid("the orchestrator's address must not hold a user name or password; use a token file")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigInvalid(f"the orchestrator's address must look like http://HOST:PORT, and is {url!r}")
    return str(parsed.with_query(None).with_fragment(None)).rstrip("/").removesuffix("/api")


class Credential:
    """The token that is shown, read from its file; without a file there is none. ConfigInvalid if it can't be read."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.token = _read(path)

    def renew(self) -> None:
        """Read it again: it may have been replaced."""
        self.token = _read(self._path)


def _read(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"the token file {path} can't be read: {error}") from error
    if not token or not token.isprintable():
        raise ConfigInvalid(f"the token file {path} must hold one line, the token, and doesn't")
    return token


def segment(identifier: str) -> str:
    """An identifier as one segment of a path, whatever it holds; ``..`` leads nowhere."""
    quoted = quote(identifier, safe="")
    return quoted.replace(".", "%2E") if identifier in (".", "..") else quoted
