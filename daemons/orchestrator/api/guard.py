"""Who may call what: bearer tokens in three roles; without tokens, this machine's own programs and no web page.

A page in a browser can send requests to a server on its user's own machine. `Host` shows whether it was reached under
a name that is really ours (a page can point a name of its own at us), `Origin` whether a page sends it at all.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Iterable
from enum import IntEnum
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from aiohttp import web

from daemons.core.errors import ConfigInvalid, NotAllowed, NotAuthenticated
from daemons.core.settings import HttpSettings

MIN_TOKEN_LENGTH: Final = 16


class Role(IntEnum):
    """Who calls. Each role may do what it is named for; an operator may also look."""

    VIEWER = 1
    WORKER = 2
    OPERATOR = 3


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


Tokens = dict[Role, list[bytes]]
"""Role → digests of its tokens. Digests are of one length, and can be compared in constant time."""


def read_tokens(settings: HttpSettings) -> Tokens:
    """The tokens of each role, read from the files that the settings name. ConfigInvalid says what is wrong."""
    files = {
        Role.WORKER: ("http.worker_token_file", settings.worker_token_file),
        Role.OPERATOR: ("http.operator_token_file", settings.operator_token_file),
        Role.VIEWER: ("http.viewer_token_file", settings.viewer_token_file),
    }
    return {role: _read_digests(key, Path(path).expanduser()) for role, (key, path) in files.items() if path}


def _read_digests(key: str, path: Path) -> list[bytes]:
    try:
        tokens = path.read_text("utf-8").split()
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{key}: {path} can't be read ({error})") from error
    if mode & 0o077:
        raise ConfigInvalid(f"{key}: {path} can be read by others than its owner; run 'chmod 600 {path}'")
    if not tokens or min(map(len, tokens)) < MIN_TOKEN_LENGTH:
        raise ConfigInvalid(f"{key}: {path} must hold tokens of at least {MIN_TOKEN_LENGTH} characters, one a line")
    return [_digest(token) for token in tokens]


def check_exposure(settings: HttpSettings, tokens: Tokens) -> None:
    """Refuse to listen beyond this machine without tokens: anybody on the network could drive the fleet."""
    if is_loopback(settings.host) or (Role.WORKER in tokens and Role.OPERATOR in tokens):
        return
    raise ConfigInvalid(
        f"http.host: {settings.host} can be reached from the network, and that needs tokens; set "
        "http.worker_token_file and http.operator_token_file, or keep http.host at 127.0.0.1"
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # such as an IPv6 address without its closing bracket: it names no host of ours
        return urlsplit("")


class Guard:
    """Decides whether a request may go on."""

    def __init__(self, settings: HttpSettings, tokens: Tokens) -> None:
        self._tokens = tokens
        self._hosts = frozenset(name.lower() for name in ("localhost", settings.host, *settings.allowed_hosts))

    def check(self, request: web.Request, roles: Iterable[Role], *, is_open: bool = False) -> None:
        """Return, or raise NotAllowed or NotAuthenticated. What `is_open` needs no token where there are tokens."""
        if not self._tokens:
            self._check_host(request)
        elif not is_open:
            self._check_token(request, roles)
        self._check_origin(request)

    def _check_token(self, request: web.Request, roles: Iterable[Role]) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise NotAuthenticated("this server needs a token; send 'Authorization: Bearer TOKEN'")
        role = self._role_of(token.strip())
        if role is None:
            raise NotAuthenticated("this token is not known here; check the token file")
        if role not in roles:
            allowed = " or ".join(sorted(allowed.name.lower() for allowed in roles))
            raise NotAllowed(f"a {role.name.lower()}'s token may not do this; it needs the token of a {allowed}")

    def _role_of(self, token: str) -> Role | None:
        digest = _digest(token)
        matches = [role for role, known in self._tokens.items() for one in known if hmac.compare_digest(digest, one)]
        return max(matches, default=None)

    def _check_host(self, request: web.Request) -> None:
        name = _split(f"//{request.headers.get('Host', '')}").hostname or ""
        if name not in self._hosts and not is_loopback(name):
            raise NotAllowed(
                f"this server is not known as {name[:100]!r}; call it by localhost, "
                "or add the name to http.allowed_hosts"
            )

    def _check_origin(self, request: web.Request) -> None:
        origin = request.headers.get("Origin")
        if origin is None:
            return
        if _split(origin).netloc != request.headers.get("Host"):
            raise NotAllowed(f"requests from web pages of {origin[:100]!r} are not taken")
