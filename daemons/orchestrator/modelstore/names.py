"""The names of models: each a small file that tells which contents were uploaded under it, the newest first.

They lie beside the contents and not in the store: a reset of the store leaves uploaded models as they are. Everything
here blocks; whoever changes a name holds the folder's lock.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import structlog

from daemons.orchestrator.modelstore.folder import NAMES, ModelFolder, as_file_name
from daemons.runtime.files import sync_folder, write_atomically

log = structlog.get_logger(__name__)

MAX_VERSIONS: Final = 20
"""So many uploads under one name are remembered."""
MAX_NEAR: Final = 3


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One upload."""

    sha256: str
    size_bytes: int
    uploaded_at: str
    """ISO 8601, in UTC."""


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A name and what was uploaded under it."""

    name: str
    versions: list[Version]
    """The newest first; there is at least one."""

    @property
    def newest(self) -> Version:
        """What the name points to."""
        return self.versions[0]

    def with_newest(self, version: Version) -> Named:
        """The same name, pointing to another version."""
        older = [known for known in self.versions if known.sha256 != version.sha256]
        return Named(name=self.name, versions=[version, *older][:MAX_VERSIONS])


class Names:
    """All names of a folder."""

    def __init__(self, folder: ModelFolder) -> None:
        self._folder = folder.root / NAMES

    def get(self, name: str) -> Named | None:
        """What is known of this name."""
        return _read(self._path(name))

    def put(self, named: Named) -> None:
        """Have this on disk under its name."""
        write_atomically(self._path(named.name), msgspec.json.encode(named), mode=0o600)

    def remove(self, name: str) -> None:
        """Forget the name."""
        self._path(name).unlink(missing_ok=True)
        sync_folder(self._folder)

    def all(self) -> list[Named]:
        """All of them, in the order of their names."""
        return sorted(self._each(), key=lambda named: named.name)

    def pointed_to(self, *, but: str | None = None) -> set[str]:
        """The hashes that names point to, other than the name `but`."""
        return {named.newest.sha256 for named in self._each() if named.name != but}

    def name_of(self, sha256: str) -> str | None:
        """The name under which this content was uploaded last, among those that remember it."""
        found = [
            (version.uploaded_at, named.name)
            for named in self._each()
            for version in named.versions
            if version.sha256 == sha256
        ]
        return max(found)[1] if found else None

    def near(self, name: str) -> list[str]:
        """Names that may have been meant instead of one that isn't there."""
        return difflib.get_close_matches(name, [named.name for named in self._each()], n=MAX_NEAR)

    def _each(self) -> Iterator[Named]:
        for path in self._folder.glob("*.json"):
            named = _read(path)
            if named is not None:
                yield named

    def _path(self, name: str) -> Path:
        return self._folder / f"{as_file_name(name)}.json"


def _read(path: Path) -> Named | None:
    try:
        named = msgspec.json.decode(path.read_bytes(), type=Named)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        log.warning("the record of a model's name is unreadable", file=path.name, error=str(error))
        return None
    return named if named.versions else None
