"""Who this device is: an identifier that stays the same over restarts, upgrades and moves of the state folder.

It comes from the machine's own identifiers, hashed, so that a reinstalled worker is the same device again; it is kept
in the state folder, so that it outlives changes of those identifiers that don't mean another machine.
"""

from __future__ import annotations

import hashlib
import hmac
import platform
import re
import subprocess
import uuid
from pathlib import Path
from typing import Final

import msgspec
import structlog

from daemons.runtime.files import write_atomically

log = structlog.get_logger(__name__)

_PURPOSE: Final = b"benchfleet device identity"
_LINUX_SOURCES: Final = {
    "machine": Path("/etc/machine-id"),
    "hardware": Path("/sys/class/dmi/id/product_uuid"),  # readable by root alone
}
_CONTAINER_MARKS: Final = (Path("/.dockerenv"), Path("/run/.containerenv"))


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept in the state folder: the device's identifier and the machine that it was made on."""

    udid: str
    evidence: dict[str, str] = {}
    """Hashes of the machine's identifiers, by source, as far as they could be read."""


def device_udid(state_dir: Path, *, salt: str = "") -> str:
    """The device's identifier, the same at every call with this folder on this machine.

    Several workers on one machine are several devices to the fleet: each but the first names a `salt` of its own.
    A state folder that came here on the image of another machine's disk is noticed by that machine's identifiers, and
    gets a new identity. Raises OSError when the folder can't be written.
    """
    evidence = machine_evidence()
    path = state_dir / "identity.json"
    known = _read(path)
    if known is not None and is_same_machine(known.evidence, evidence):
        return known.udid
    if known is not None:
        log.warning("another machine's identity found in the state folder", state_dir=str(state_dir))
    identity = Identity(udid=make_udid(evidence, salt), evidence=evidence)
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(path, msgspec.json.encode(identity), mode=0o600)
    return identity.udid


def is_same_machine(kept: dict[str, str], found: dict[str, str]) -> bool:
    """Whether no source that both know says otherwise. One that only root can read may be missing from either."""
    return all(kept[source] == found[source] for source in kept.keys() & found.keys())


def make_udid(evidence: dict[str, str], salt: str) -> str:
    """An identifier made of a machine's evidence; a random one where a machine says nothing of itself."""
    if not evidence:
        return str(uuid.uuid4())
    source = evidence.get("machine") or next(iter(evidence.values()))
    return str(uuid.UUID(bytes=_hashed(source, salt)[:16], version=4))


def machine_evidence() -> dict[str, str]:
    """Hashes of the identifiers that the operating system has for this machine.

    In a container there are none: what it shows is its host's or its image's, and many containers show the same.
    """
    if any(mark.exists() for mark in _CONTAINER_MARKS):
        return {}
    raw = _macos_identifiers() if platform.system() == "Darwin" else _linux_identifiers()
    return {source: _hashed(text).hex() for source, text in raw.items() if _is_telling(text)}


def _hashed(text: str, salt: str = "") -> bytes:
    """The machine's identifier itself never leaves the machine, as machine-id(5) asks."""
    return hmac.digest(text.lower().encode(), _PURPOSE + salt.encode(), hashlib.sha256)


def _is_telling(text: str) -> bool:
    """Whether an identifier tells machines apart: firmware of cheap boards is full of zeros and Fs."""
    digits = re.sub(r"[^0-9a-fA-F]", "", text)
    return len(digits) >= 32 and len(set(digits.lower())) > 2


def _linux_identifiers() -> dict[str, str]:
    found = {}
    for source, path in _LINUX_SOURCES.items():
        try:
            found[source] = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
    return found


def _macos_identifiers() -> dict[str, str]:
    command = ["/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return parse_ioreg(done.stdout)


def parse_ioreg(text: str) -> dict[str, str]:
    """The platform's UUID in what macOS's ``ioreg`` prints."""
    match = re.search(r'"IOPlatformUUID"\s*=\s*"([^"]+)"', text)
    return {"machine": match[1]} if match else {}


def _read(path: Path) -> Identity | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("identity file was unreadable and is made anew", path=str(path), error=str(error))
        return None
