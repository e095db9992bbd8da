"""The files beside an .onnx that it would have a runtime read, found and judged before any runtime is let near them.

A tensor of an ONNX model may name a file that holds its bytes. This reads the wire format of protocol buffers itself,
going only down the branches that can lead to a tensor: weights are stepped over and never read, so the size of a model
costs nothing, and the worker loads neither protobuf nor numpy. Whatever could be read in two ways is read as a
reference; what can't be read at all is refused, as soon as the file holds the word that every reference needs.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from daemons.runtime.background import Stop

MAX_FIELDS: Final = 5_000_000
"""Fields that are visited at most: some ten seconds of work, for ten times what the largest graphs in use have."""

MAX_DEPTH: Final = 200
"""Protobuf's own limit is 100 messages inside each other."""

MAX_ENTRY_BYTES: Final = 2**16
MAX_LISTED: Final = 5
SEARCHED_BYTES: Final = 2**20
LOOK_EVERY: Final = 2**14
MAX_VARINT_BYTES: Final = 10

_KEY: Final = b"location"
_MEMORY_TAG: Final = "_ORT_MEM_ADDR_"
"""In a location, ONNX Runtime takes it for "at this address of the process's memory"."""

_XML: Final = (b"<", b"\xef\xbb\xbf<")
"""How XML begins, without and with a byte order mark. White space is not taken: it may begin an ONNX model, too."""

_Branches = dict[int, "_Branches"]
"""Field number → the branches of the message in it; empty: an entry of external data."""

_ENTRY: Final[_Branches] = {}
_TENSOR: Final[_Branches] = {13: _ENTRY}
_SPARSE: Final[_Branches] = {1: _TENSOR, 2: _TENSOR}
_GRAPH: Final[_Branches] = {5: _TENSOR, 15: _SPARSE}
_ATTRIBUTE: Final[_Branches] = {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE}
_NODE: Final[_Branches] = {5: _ATTRIBUTE}
_GRAPH[1] = _NODE
_FUNCTION: Final[_Branches] = {7: _NODE, 11: _ATTRIBUTE}
_TRAINING: Final[_Branches] = {1: _GRAPH, 2: _GRAPH}
_MODEL: Final[_Branches] = {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION}


class ExternalDataRefused(Exception):
    """The model refers to a file that it may not have, or can't be read. The text says which, and why."""


def check(model: Path, folder: Path | None, stop: Stop) -> None:
    """Return if every file that `model` refers to is its own: a plain file inside `folder`, linked nowhere else.

    `folder` None: the model came alone and may refer to nothing. Otherwise ExternalDataRefused, with the location.
    Blocks for as long as reading the file once takes; `stop` ends that with Stopped.
    """
    found = locations(model, stop)
    if found and folder is None:
        raise ExternalDataRefused(
            f"the model keeps weights in other files ({_listed(found)}): send the .onnx and these together as a zip"
        )
    for location in found:
        problem = objection(location, folder or model.parent)
        if problem:
            raise ExternalDataRefused(f"the model refers to external data at {_shown(location)}, {problem}")


def check_is_xml(model: Path) -> None:
    """Return if `model` begins as XML does, which no ONNX model can; otherwise ExternalDataRefused.

    A runtime may go by the content, and would follow the references of an ONNX model that is called .xml.
    """
    with model.open("rb") as file:
        if not file.read(len(_XML[-1])).startswith(_XML):
            raise ExternalDataRefused(f"{_shown(model.name)} is no OpenVINO model: it doesn't begin as XML does")


def locations(model: Path, stop: Stop) -> list[str]:
    """Every location of external data that the ONNX model in the file `model` names, in order, each once.

    Raises ExternalDataRefused for a file with such names in it that can't be read as a model.
    """
    with model.open("rb") as file:
        if not _mentions_locations(file, stop):
            return []
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            entries = (data[start:end] for start, end in _entries(data, stop))
            return list(dict.fromkeys(location for entry in entries for location in _locations_in(entry)))


def objection(location: str, folder: Path) -> str | None:
    """What is wrong with reading `location`, as a model in `folder` names it; None when nothing is."""
    if not location or not location.isprintable() or _MEMORY_TAG in location:
        return "which is no name of a file"
    if location.startswith(("/", "\\")) or re.match("[A-Za-z]:", location):
        return "which is not relative to the model's own folder"
    home = os.path.realpath(folder)
    place = os.path.normpath(os.path.join(home, location))  # noqa: PTH118 (a Path would keep `..`)
    if not place.startswith(home + os.sep):
        return "which is outside the model's own folder"
    return _objection_to_file(Path(place))


def _objection_to_file(path: Path) -> str | None:
    try:
        found = path.lstat()
        is_direct = os.path.realpath(path) == str(path)
    except (OSError, ValueError):
        return "and there is no such file beside the model"
    if not is_direct:
        return "which is or goes through a symbolic link"
    if not stat.S_ISREG(found.st_mode):
        return "which is no regular file"
    if found.st_nlink != 1:
        return f"which has {found.st_nlink} hard links: it is another file's content, too"
    return None


def _mentions_locations(file: BinaryIO, stop: Stop) -> bool:
    """Whether the key of every reference stands in the file at all. In most models it doesn't, and all is said."""
    tail, overlap = b"", len(_KEY) - 1
    while chunk := file.read(SEARCHED_BYTES):
        stop.look()
        if _KEY in chunk or _KEY in tail + chunk[:overlap]:
            return True
        tail = (tail + chunk[-overlap:])[-overlap:]
    return False


def _entries(data: mmap.mmap, stop: Stop) -> Iterator[tuple[int, int]]:
    """Where the entries of external data stand in a model: in its graphs, those in attributes, and its functions."""
    around: list[tuple[int, _Branches]] = []
    position, end, branches = 0, len(data), _MODEL
    for count in range(MAX_FIELDS):
        while position == end:
            if not around:
                return
            end, branches = around.pop()
        if count % LOOK_EVERY == 0:
            stop.look()
        number, start, after = _field(data, position, end)
        inner = branches.get(number) if start else None
        if inner is None:
            position = after
        elif inner is _ENTRY:
            yield start, after
            position = after
        else:
            around.append((end, branches))
            _check_depth(len(around))
            position, end, branches = start, after, inner
    raise ExternalDataRefused(f"the model has more than {MAX_FIELDS:,} fields, too many to check its external data")


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ExternalDataRefused(f"the model's graphs are nested more than {MAX_DEPTH} deep")


def _field(data: mmap.mmap | bytes, position: int, end: int) -> tuple[int, int, int]:
    """The field at `position`: its number, where its bytes begin (0 if it is of fixed kind), where it ends."""
    tag, after = _varint(data, position, end)
    number, start = (tag & 0xFFFF_FFFF) >> 3, 0  # protobuf drops what is beyond 32 bits, too
    match tag & 7:
        case 0:
            _, after = _varint(data, after, end)
        case 1:
            after += 8
        case 2:
            size, start = _varint(data, after, end)
            after = start + size
        case 5:
            after += 4
        case _:  # groups, which no ONNX model has, or nothing at all
            raise _unreadable(position)
    if after > end or number == 0:
        raise _unreadable(position)
    return number, start, after


def _varint(data: mmap.mmap | bytes, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    for at in range(position, min(end, position + MAX_VARINT_BYTES)):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7
    raise _unreadable(position)


def _unreadable(position: int) -> ExternalDataRefused:
    return ExternalDataRefused(
        f"the file is not an ONNX model, or it is damaged: byte {position:,} makes no sense in one"
    )


def _locations_in(entry: bytes) -> list[str]:
    """The values of an entry that is about a location, all of them if it has several."""
    if len(entry) > MAX_ENTRY_BYTES:
        raise ExternalDataRefused(f"the model has an entry of external data of more than {MAX_ENTRY_BYTES:,} bytes")
    position, texts = 0, {1: [b""], 2: [b""]}
    while position < len(entry):
        number, start, position = _field(entry, position, len(entry))
        if start and number in texts:
            texts[number].append(entry[start:position])
    keys, values = texts[1], texts[2]
    return [value.decode(errors="surrogateescape") for value in values[1:] or values] if _KEY in keys else []


def _listed(found: list[str]) -> str:
    more = len(found) - MAX_LISTED
    return ", ".join(map(_shown, found[:MAX_LISTED])) + (f" and {more:,} more" if more > 0 else "")


def _shown(location: str) -> str:
    return repr(location if len(location) <= 200 else f"{location[:200]}…")
