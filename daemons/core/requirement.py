"""Which version of which package a job asks for: `onnxruntime==1.20.*`, taken apart and compared. Pure.

Names compare as PEP 503 has it, versions are written as PEP 440 has it. What this has taken apart can stand on pip's
command line: it begins with a letter or a digit, and holds nothing but a name and a version.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from daemons.core.errors import InvalidInput

ALLOWED: Final = "a package and its version, such as `onnxruntime==1.20.1` or `onnxruntime==1.20.*`"

_NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
_RELEASE: Final = r"(?:[0-9]{1,9}!)?[0-9]{1,9}(?:\.[0-9]{1,9}){0,9}"
_SUFFIX: Final = r"(?:\.?(?:a|b|c|rc|alpha|beta|pre|preview)[0-9]{0,9})?(?:\.?post[0-9]{0,9})?(?:\.?dev[0-9]{0,9})?"
_LOCAL: Final = r"\+[A-Za-z0-9]+(?:\.[A-Za-z0-9]+)*"
_REQUIREMENT: Final = re.compile(
    rf"(?P<package>{_NAME})==(?P<version>{_RELEASE}(?:\.\*|{_SUFFIX}(?:{_LOCAL})?))", re.IGNORECASE
)


class Requirement(NamedTuple):
    """A package in one version, or in the newest of a series."""

    package: str
    """As it was written."""
    version: str
    """Such as ``1.20.1``, or ``1.20.*`` for the newest of the series."""

    def __str__(self) -> str:
        return f"{self.package}=={self.version}"


def requirement(text: str) -> Requirement:
    """What `text` asks for; InvalidInput if it is anything but a package and its version."""
    found = _REQUIREMENT.fullmatch(text)
    if found is None or len(text) > 200:
        raise InvalidInput(f"must be {ALLOWED}, and is {text[:100]!r}")
    return Requirement(found["package"], found["version"])


def normalized(package: str) -> str:
    """The one spelling of a package's name that all its spellings share (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def release_of(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, without an epoch and without zeros at the end; empty if there are none.

    ``2026.4.1-22982-e213`` is of the release 2026.4.1, and so is ``2026.4.1+cpu``.
    """
    found = re.match(r"\s*v?(?:\d+!)?(\d+(?:\.\d+)*)", version)
    numbers = [int(number) for number in found[1].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
