"""Other versions of engines, each in an environment of its own, made once and kept.

An environment is a folder with a record in it. The record is written last, so a folder without one is what an
interrupted installation has left, and is never used. One lock covers finding, making and removing, for all processes
that share the place; whoever measures with an environment holds a shared lock on its record, and while anybody does it
is not removed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import re
import secrets
import shutil
import sys
import sysconfig
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import Final

import msgspec
import structlog
from msgspec import Struct, structs

from daemons.core.errors import AlreadyRunning, InvalidInput
from daemons.core.lifecycle import ReportStatus
from daemons.core.requirement import Requirement, normalized, release_of, requirement
from daemons.core.results import Measurement, Outcome
from daemons.runtime.background import in_thread
from daemons.runtime.files import write_atomically
from daemons.runtime.locks import FileLock
from daemons.worker.installing import (
    ImportPaths,
    NotInstalled,
    companions,
    install,
    interpreter_of,
    own_import_paths,
)

log = structlog.get_logger(__name__)

RECORD: Final = "environment.json"
KEEP: Final = 8
_FOLDER: Final = re.compile(r".+-[0-9a-f]{12}")
"""What the folders are called: nothing else is ever removed."""


class NotPrepared(Exception):
    """A version of an engine can't be had here; the text says why, and what would help."""


class Recipe(Struct, frozen=True):
    """All that makes one environment another than the next."""

    requirement: str
    companions: tuple[str, ...]
    index_url: str | None
    paths: ImportPaths
    python: tuple[str, str, str]
    """Where the interpreter is, what its compiled code is called, and its platform."""


class Record(Struct, frozen=True):
    """What is known of an environment that is whole."""

    recipe: Recipe
    versions: dict[str, str]
    """Of each package in it."""
    made_at: str


class Environment(Struct, frozen=True):
    """An environment to measure with."""

    folder: Path
    wanted: Requirement
    version: str
    """What the requirement came to."""

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(interpreter_of(self.folder))


class Environments:
    """The environments under `folder`. `allowed` names the packages that may be installed; None: any.

    Beyond `keep` the least recently used are removed, never one in use.
    """

    def __init__(
        self, folder: Path, *, allowed: Collection[str] | None, index_url: str | None = None, keep: int = KEEP
    ) -> None:
        self._folder = folder
        self._allowed = None if allowed is None else tuple(allowed)
        self._index_url = index_url
        self._keep = keep
        self._lock = FileLock(folder / "lock")

    def clean_up(self) -> None:
        """Remove what a killed process left half made, unless another process is at work here."""
        try:
            if self._folder.is_dir():
                with self._lock.held_now():
                    self._remove_half_made()
        except AlreadyRunning:
            log.info("environments are in use, what is half made is left to their user")
        except OSError as error:
            log.warning("half-made environments could not be removed", error=error.strerror or str(error))

    @contextlib.asynccontextmanager
    async def using(self, wanted: str, on_making: Callable[[], object]) -> AsyncIterator[Environment]:
        """The environment for `wanted`, such as ``onnxruntime==1.20.*``; it stays as long as this lasts.

        If it isn't here it is made, and `on_making` is called before. Raises NotPrepared. Cancelling ends pip.
        """
        with contextlib.ExitStack() as held:
            try:
                environment = await self._taken(self._parsed(wanted), on_making, held)
            except NotInstalled as error:
                raise NotPrepared(str(error)) from error
            except OSError as error:
                text = f"{wanted} can't be kept on this device: {error.strerror or error}"
                raise NotPrepared(text) from error
            yield environment

    def _parsed(self, text: str) -> Requirement:
        """The requirement, if it may be installed."""
        try:
            wanted = requirement(text)
        except InvalidInput as error:
            raise NotPrepared(f"engine_version {error}") from error
        if self._allowed is None or normalized(wanted.package) in map(normalized, self._allowed):
            return wanted
        now = f"allows {', '.join(self._allowed)} alone" if self._allowed else "is empty, so it installs nothing"
        raise NotPrepared(
            f"this worker may not install {wanted}: its setting engines.allowed_packages {now}; "
            f"whoever runs the device can add {wanted.package} to it"
        )

    async def _taken(
        self, wanted: Requirement, on_making: Callable[[], object], held: contextlib.ExitStack
    ) -> Environment:
        """The environment, locked against its removal for as long as `held` is open."""
        recipe = self._recipe(wanted)
        async with self._lock.held():
            found = self._find(recipe)
            if found is None:
                on_making()
                found = await self._made(recipe, wanted)
            folder, record = found
            held.callback(os.close, _shared(folder / RECORD))
            os.utime(folder / RECORD)
            await in_thread(lambda _stop: self._evict())
        return Environment(folder, wanted, record.versions[normalized(wanted.package)])

    def _recipe(self, wanted: Requirement) -> Recipe:
        python = (sys.base_prefix, str(sys.implementation.cache_tag), sysconfig.get_platform())
        return Recipe(str(wanted), companions(wanted), self._index_url, own_import_paths(), python)

    # Under the lock

    def _find(self, recipe: Recipe) -> tuple[Path, Record] | None:
        """The environment of this recipe, if it is here and whole."""
        for folder in self._whole():
            record = _record_of(folder)
            if record is not None and record.recipe == recipe and os.access(interpreter_of(folder), os.X_OK):
                return folder, record
        return None

    async def _made(self, recipe: Recipe, wanted: Requirement) -> tuple[Path, Record]:
        """A new environment. What a failed or cancelled installation leaves is removed at once."""
        await in_thread(lambda _stop: self._remove_half_made())
        folder = self._folder / f"{_file_name_for(wanted)}-{secrets.token_hex(6)}"
        folder.mkdir(mode=0o700)
        try:
            versions = await install(folder, wanted, self._index_url, recipe.paths)
            record = Record(recipe, versions, dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))
            await in_thread(lambda _stop: _seal(folder, record))
        except BaseException:
            await in_thread(lambda _stop: shutil.rmtree(folder, ignore_errors=True))
            raise
        log.info("environment made", folder=str(folder), requirement=str(wanted), versions=versions)
        return folder, record

    def _folders(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if _FOLDER.fullmatch(path.name) and path.is_dir()]

    def _whole(self) -> list[Path]:
        """Those with a record, the least recently used first."""
        whole = [folder for folder in self._folders() if (folder / RECORD).is_file()]
        return sorted(whole, key=lambda folder: (folder / RECORD).stat().st_mtime_ns)

    def _remove_half_made(self) -> None:
        for folder in self._folders():
            if not (folder / RECORD).is_file():
                shutil.rmtree(folder, ignore_errors=True)

    def _evict(self) -> None:
        whole = self._whole()
        for folder in whole[: max(0, len(whole) - self._keep)]:
            if not _is_used(folder / RECORD):
                (folder / RECORD).unlink()  # first of all: without it nothing half removed is ever used
                shutil.rmtree(folder, ignore_errors=True)
                log.info("environment removed", folder=str(folder))


def of_version(outcome: Outcome, environment: Environment) -> Outcome:
    """The outcome, if it is of the version that the environment holds; a failure without figures if it is not.

    An engine may say more than the release: ``2026.4.1-22982-e213`` is 2026.4.1.
    """
    measured = outcome.measurement.engine_version
    if outcome.status is not ReportStatus.COMPLETE or release_of(measured or "") == release_of(environment.version):
        return outcome
    remark = (
        f"{environment.wanted} came to {environment.version}, and what was measured calls itself "
        f"{outcome.measurement.engine} {measured}: figures of another version than was asked for are not kept"
    )
    return structs.replace(outcome, status=ReportStatus.FAILED, measurement=Measurement(remark=remark))


def _file_name_for(wanted: Requirement) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", f"{wanted.package}-{wanted.version.replace('*', 'x')}")


def _seal(folder: Path, record: Record) -> None:
    """Write the record, when everything else is on disk: a power cut must not leave a whole record of torn files."""
    os.sync()
    write_atomically(folder / RECORD, msgspec.json.encode(record), mode=0o600)


def _record_of(folder: Path) -> Record | None:
    try:
        return msgspec.json.decode((folder / RECORD).read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError):
        return None


def _shared(record: Path) -> int:
    """A descriptor that holds a shared lock on the record until it is closed. Nobody else has it under the lock."""
    descriptor = os.open(record, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_used(record: Path) -> bool:
    """Whether anybody holds the shared lock."""
    descriptor = os.open(record, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
