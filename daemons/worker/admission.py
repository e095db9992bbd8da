"""From bytes that have come whole to something that may be measured: judged, unpacked if need be, and placed."""

from __future__ import annotations

import errno
from collections.abc import Collection
from pathlib import Path

import msgspec

from daemons.runtime.background import Stop
from daemons.transfer.download import Fetched, NotFetched
from daemons.worker import archive, external_data, kinds
from daemons.worker.shelf import Known, Shelf, measure


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What has come."""

    path: Path
    name: str
    """What it is called: that says its kind."""
    is_inputs: bool
    keep: tuple[Path, ...] = ()
    """What stays on a disk that is full."""


class Admission:
    """Lets onto the shelf what is harmless. Nothing of `max_bytes` or more is unpacked."""

    def __init__(self, shelf: Shelf, max_bytes: int) -> None:
        self._shelf = shelf
        self._max_bytes = max_bytes

    def admit(self, arrival: Arrival, fetched: Fetched, stop: Stop) -> Known:
        """Judge what has come, and give it its place.

        Raises NotFetched, ArchiveRefused or ExternalDataRefused for what is no model or none that is harmless, OSError
        if the disk won't take it, Stopped.
        """
        known = Known(sha256=fetched.sha256, size_bytes=fetched.size_bytes, validators=fetched.validators)
        is_zip = archive.is_zip(arrival.path)
        if arrival.is_inputs:
            return self._place_inputs(arrival, known, is_zip=is_zip)
        problem = kinds.objection(arrival.name, is_zip=is_zip)
        if problem:
            raise NotFetched(problem)
        if is_zip:
            return self._unpack(arrival.path, known, arrival.keep, stop)
        return self._place_file(arrival.path, known, kinds.ending_of(arrival.name), stop)

    def _place_file(self, path: Path, known: Known, ending: str, stop: Stop) -> Known:
        if ending == kinds.CORE_ML_FILE:
            known = msgspec.structs.replace(known, suffix=ending)
        else:
            external_data.check(path, None, stop)
        self._shelf.place(path, known)
        return known

    def _place_inputs(self, arrival: Arrival, known: Known, *, is_zip: bool) -> Known:
        if not is_zip:
            raise NotFetched(f"{arrival.name} is no .npz file: numpy.savez writes such files")
        known = msgspec.structs.replace(known, suffix=".npz")
        self._shelf.place(arrival.path, known)
        return known

    def _unpack(self, path: Path, known: Known, keep: Collection[Path], stop: Stop) -> Known:
        """Unpack into a folder that nobody looks for, and give it its name when all in it is right."""
        folder = self._shelf.temporary("unpacking-")
        try:
            inside = kinds.find_model(self._unpacked(path, folder, keep, stop))
            _check_inside(folder / inside, stop)
            known = msgspec.structs.replace(known, suffix=".d", inside=inside, unpacked=measure(folder))
            self._shelf.place(folder, known)
        finally:
            self._shelf.remove_leftovers(keep=(path,))
        return known

    def _unpacked(self, path: Path, folder: Path, keep: Collection[Path], stop: Stop) -> list[str]:
        """The names in the archive, unpacked; on a full disk once more without the older models."""
        try:
            return archive.unpack(path, folder, max_bytes=self._max_bytes, stop=stop)
        except OSError as error:
            if error.errno != errno.ENOSPC or not self._shelf.evict(0, keep):
                raise
        return archive.unpack(path, folder, max_bytes=self._max_bytes, stop=stop)


def _check_inside(model: Path, stop: Stop) -> None:
    match kinds.ending_of(model.name):
        case kinds.ONNX:
            external_data.check(model, model.parent, stop)
        case kinds.OPENVINO:
            external_data.check_is_xml(model)
