"""Headers for private sources, kept on the device under names; a campaign says the name and never sees the headers.

What the file holds beside names is secret: it stands in no text, log or exception that is made here, and the types
show their names alone.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yarl

from daemons.core.errors import ConfigInvalid
from daemons.core.models import CredentialName
from daemons.runtime.yaml_file import MAX_BYTES, parse_document
from daemons.transfer.credential import Credential, host_of

KEY: Final = "models.credentials_file"
EXAMPLE: Final = 'NAME: {hosts: [example.org], headers: {Authorization: "Bearer …"}}'

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]{0,8190}[\x21-\x7e])?")
_OURS: Final = frozenset(
    re.split(
        " +",
        "accept-encoding connection content-length content-type expect host if-match if-modified-since if-none-match "
        "if-range if-unmodified-since keep-alive proxy-authorization range te trailer transfer-encoding upgrade",
    )
)
"""Headers that decide what a request means; whoever sets them would break the transfer."""


class Credentials:
    """All that this device has, by name."""

    def __init__(self, by_name: Mapping[str, Credential] | None = None) -> None:
        self._by_name = dict(by_name or {})

    def __repr__(self) -> str:
        return f"Credentials({sorted(self._by_name)})"

    def named(self, name: str) -> Credential | None:
        """The credential of this name, None if there is none."""
        return self._by_name.get(name)


def unknown(name: str) -> str:
    """The sentence for a campaign that names credentials which this device doesn't have."""
    return (
        f"this worker has no credentials named {name[:100]!r}: add them to the file that its {KEY} names, "
        "and start the worker again"
    )


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hosts: list[str]
    headers: dict[str, str]


def load_credentials(path: Path) -> Credentials:
    """What the file at `path` holds: ``NAME: {hosts: [...], headers: {...}}``.

    ConfigInvalid, with no word of the contents but names and lines, if others may read it or it is not of that form.
    """
    # `from None` throughout: the causes hold pieces of the file.
    text = _read_private(path)
    try:
        content = parse_document(text, str(path)).content
    except ConfigInvalid as error:
        line = re.match(r":\d+", str(error)[len(str(path)) :])
        raise ConfigInvalid(f"{path}{line[0] if line else ''}: {KEY} is not valid YAML; it wants {EXAMPLE}") from None
    return Credentials({name: _credential(name, held, path) for name, held in content.items()})


def _read_private(path: Path) -> str:
    try:
        with path.open("rb") as file:
            _check_private(os.fstat(file.fileno()), path)
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigInvalid(f"{path}: {KEY} can't be read: {error.strerror or error}") from None
    if len(content) > MAX_BYTES:
        raise ConfigInvalid(f"{path}: {KEY} is larger than {MAX_BYTES:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigInvalid(f"{path}: {KEY} is not UTF-8 text") from None


def _check_private(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigInvalid(f"{path}: {KEY} must be a regular file")
    if found.st_uid != os.geteuid():
        raise ConfigInvalid(
            f"{path}: {KEY} must belong to the user that the worker runs as; give it to them with chown"
        )
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise ConfigInvalid(f"{path}: {KEY} may be read by its owner alone, and its mode is {mode:04o}; chmod 600 it")


def _credential(name: Any, held: Any, path: Path) -> Credential:
    try:
        name = msgspec.convert(name, CredentialName)
    except msgspec.ValidationError:
        raise ConfigInvalid(
            f"{path}: a name in {KEY} must be text of up to 100 letters, digits and the signs _ . -"
        ) from None
    where = f"{path}: {name}"
    try:
        entry = msgspec.convert(held, _Entry)
    except msgspec.ValidationError:
        raise ConfigInvalid(f"{where}: must be of the form {EXAMPLE}, with nothing else; quote each header") from None
    _check_headers(entry.headers, where)
    if not entry.hosts:
        raise ConfigInvalid(f"{where}: must name at least one host that may see the headers")
    return Credential(name, frozenset(_checked_host(host, where) for host in entry.hosts), entry.headers)


def _check_headers(headers: dict[str, str], where: str) -> None:
    if not headers:
        raise ConfigInvalid(f"{where}: must hold at least one header")
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ConfigInvalid(f"{where}: a header's name or value has characters that no header may have")
        if name.lower() in _OURS:
            raise ConfigInvalid(f"{where}: the header {name} can't be set here; the transfer sets it")


def _checked_host(host: str, where: str) -> str:
    """The host as URLs have it: in lower case, and in ASCII."""
    try:
        literal = f"[{ipaddress.IPv6Address(host)}]" if ":" in host else host
        found = "" if re.search(r"[\s/@?#*%\\\[\]]", host) else host_of(yarl.URL(f"https://{literal}/"))
    except ValueError:
        found = ""
    if not found:
        raise ConfigInvalid(f"{where}: hosts must be names or addresses such as example.org, without scheme or port")
    return found
