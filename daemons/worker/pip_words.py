"""What pip says when it fails, as one sentence for a job's remark. Pure: text in, a sentence out."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Sequence
from typing import Final

from daemons.core.requirement import Requirement, release_of

MAX_WORDS: Final = 500
NEWEST_NAMED: Final = 6

_OFFERED: Final = re.compile(r"\(from versions: ([^)]*)\)")
_UNTRUSTED: Final = re.compile(r"The repository located at (\S+) is not a trusted or secure host")
_GIVEN_UP: Final = re.compile(r"Retrying \(Retry\(total=0\b.*?after connection broken by (.*)")
_REASON: Final = re.compile(
    r"\[Errno -?\d+\] ([^'\"()]+)|(certificate verify failed[^'\"()]*|[Rr]ead timed out|timed out)"
)
_PASSWORD: Final = re.compile(r"://[^/@\s]*@")


def why_pip_failed(text: str, wanted: Requirement) -> str:
    """Why `wanted` can't be installed, from all that pip wrote."""
    begin = f"{wanted} can't be installed:"
    untrusted, broken, offered = _UNTRUSTED.search(text), _GIVEN_UP.findall(text), _OFFERED.findall(text)
    if untrusted:
        return (
            f"{begin} pip leaves out {untrusted[1]}, which is not reached by https; "
            "serve the index by https, or name its host as trusted in pip's own configuration"
        )
    if broken:
        reason = _REASON.search(broken[-1])
        return f"{begin} the package index can't be reached" + (f" ({reason[1] or reason[2]})" if reason else "")
    if offered:
        return f"{begin} {_what_is_offered(wanted, offered[-1])}"
    return f"{begin} {last_words(text)}"


def why_venv_failed(text: str) -> str:
    """Why Python can't make an environment, from all that it wrote."""
    if "ensurepip is not available" in text or "No module named ensurepip" in text:
        return "this Python came without ensurepip; on Debian and Ubuntu the package python3-venv brings it"
    if "No module named venv" in text:
        return "this Python came without venv; install one that is whole"
    return last_words(text)


def _what_is_offered(wanted: Requirement, listed: str) -> str:
    versions = [version for version in listed.replace(" ", "").split(",") if version and version != "none"]
    here = f"a ready-built wheel for Python {sys.version_info.major}.{sys.version_info.minor} on {_platform()}"
    if not versions:
        return f"the package index has no {wanted.package} with {here}"
    alike = [version for version in versions if release_of(version)[:2] == release_of(wanted.version)[:2]]
    others = f", and {len(versions) - len(alike)} others up to {versions[-1]}" if 0 < len(alike) < len(versions) else ""
    return f"the package index has no such version with {here}; it has {shortened(alike or versions)}{others}"


def _platform() -> str:
    return f"{platform.system()} {platform.machine()}".strip()


def shortened(versions: Sequence[str]) -> str:
    """A list of versions in which the oldest and the newest are named."""
    if len(versions) <= NEWEST_NAMED + 2:
        return ", ".join(versions)
    return f"{versions[0]}, … ({len(versions) - NEWEST_NAMED - 1} more), {', '.join(versions[-NEWEST_NAMED:])}"


def last_words(text: str) -> str:
    """The essential of what a program wrote before it failed: its lines of errors, else its last one. No password."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    said = " ".join(errors[-3:] or lines[-1:]) or "it says nothing"
    return _PASSWORD.sub("://***@", said)[:MAX_WORDS]
