"""Arrays for a model's inputs, from a .npz file that somebody sent: no pickles, and nothing is unpacked unjudged.

Sizes are taken from the headers of the archive and of each array. Reading stops at the archive's own figure, so that
a header that lies makes a sentence and takes no memory.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final, NamedTuple

import numpy as np

from daemons.worker.bench import narrow
from daemons.worker.bench.values import KINDS, Array
from daemons.worker.bench.wanted import limits, stored
from daemons.worker.engines.base import EngineError

MAX_UNPACKED_BYTES: Final = 2 * 2**30
MAX_RATIO: Final = 1000
SMALL_BYTES: Final = 16 * 2**20
"""Up to here a ratio says nothing: an honest mask of zeros is packed as tightly as a bomb."""
MAX_LISTED: Final = 5
_SUFFIX: Final = ".npy"


class Given(NamedTuple):
    """Values that somebody gave."""

    array: Array
    """In the form of the model's type; flat where elements share a byte."""
    shape: tuple[int, ...]


class Header(NamedTuple):
    """What an array says of itself."""

    shape: tuple[int, ...]
    dtype: Any
    begins_at: int


def read_arrays(path: str, elements: Mapping[str, str]) -> dict[str, Given]:
    """The arrays in the file at `path`, in the form of the model's types; `elements` are these by input name.

    EngineError says what is wrong with the file, or with one of its arrays.
    """
    with _told(), _opened(path) as archive:
        members = {input_name(member.filename): member for member in archive.infolist()}
        check_names(list(members), [member.filename for member in archive.infolist()], elements)
        check_size(archive.infolist())
        return {name: read_array(archive, member, name, elements[name]) for name, member in members.items()}


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What archive and array readers raise, as a sentence."""
    import zipfile  # noqa: PLC0415 (most measurements need none of this)
    import zlib  # noqa: PLC0415

    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise EngineError(f"The file of input arrays can't be read: {reason or type(error).__name__}.") from error


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    import zipfile  # noqa: PLC0415

    with open(path, "rb") as file:  # noqa: PTH123 (pathlib would stand in every peak)
        if not zipfile.is_zipfile(file):
            raise EngineError(
                "The file of input arrays is no .npz file; write it with numpy.savez(file, **{input name: array})."
            )
        with zipfile.ZipFile(file) as archive:
            yield archive


def input_name(member: str) -> str:
    """The input that a member of the archive is for."""
    return member.removesuffix(_SUFFIX)


def check_names(names: list[str], members: list[str], elements: Mapping[str, str]) -> None:
    """Every member must be an array for another one of the model's inputs."""
    strange = [name for name in members if not name.endswith(_SUFFIX)]
    if strange:
        raise EngineError(
            f"The file of input arrays holds something else: {listed(strange)}; all must be arrays (.npy)."
        )
    if len(names) < len(members):
        raise EngineError("The file of input arrays holds two arrays of one name.")
    surplus = [name for name in names if name not in elements]
    if surplus:
        raise EngineError(
            f"The file of input arrays holds {listed(surplus)}, which the model doesn't take; "
            f"its inputs are {listed(list(elements), 20)}."
        )


def listed(names: list[str], most: int = MAX_LISTED) -> str:
    """Names for people, the first few of many."""
    shown = ", ".join(name if len(name) <= 100 else f"{name[:100]}…" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def check_size(members: list[Any]) -> None:
    """Refuse what would fill the memory, before any of it is unpacked."""
    unpacked = sum(member.file_size for member in members)
    sent = sum(member.compress_size for member in members)
    if unpacked > MAX_UNPACKED_BYTES:
        raise EngineError(
            f"The file of input arrays unpacks to {unpacked:,} bytes; at most {MAX_UNPACKED_BYTES:,} are taken."
        )
    if unpacked > SMALL_BYTES and unpacked > MAX_RATIO * sent:
        raise EngineError(
            f"The file of input arrays unpacks to more than {MAX_RATIO:,} times its size ({unpacked:,} bytes from "
            f"{sent:,}), as archives do that are made to harm; write it without compression (numpy.savez), "
            "or give the input a value in the job."
        )


def read_array(archive: Any, member: Any, name: str, element: str) -> Given:
    """One array, as elements of the model's type."""
    with archive.open(member) as file:
        header = read_header(file, name)
        check_header(header, member.file_size, name)
    with archive.open(member) as file:
        array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return Given(converted(array, name, element), array.shape)


def read_header(file: IO[bytes], name: str) -> Header:
    """What the array says of itself; EngineError if that can't be read."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise EngineError(f"The array {name} in the file of input arrays has the unknown format {version}.")
    shape, _, dtype = readers[version](file)
    return Header(shape, dtype, file.tell())


def check_header(header: Header, size: int, name: str) -> None:
    """An array must be as large as its archive says, and hold nothing that is executed when it is read."""
    if header.dtype.hasobject:
        raise EngineError(
            f"The array {name} in the file of input arrays is a pickle of Python objects, which could run code and is "
            f"not read; save numbers, or text with a dtype such as '<U16' (it is {header.dtype})."
        )
    if min(header.shape, default=0) < 0 or header.begins_at + math.prod(header.shape) * header.dtype.itemsize != size:
        raise EngineError(
            f"The array {name} in the file of input arrays says that it is {list(header.shape)} of {header.dtype}, "
            "which is not as much as it holds; write the file again."
        )


def converted(array: Array, name: str, element: str) -> Array:
    """The array in the model's type, if no number can change by that; a type that numpy lacks rounds."""
    kind = KINDS[element]
    if element == "string":
        return text_array(array, name)
    if not kind.native:
        return narrowed(array, name, element)
    if not np.can_cast(array.dtype, kind.dtype, "safe"):
        raise unsafe(array, name, element, np.dtype(kind.dtype).name)
    return np.ascontiguousarray(array.astype(kind.dtype, copy=False)).reshape(array.shape)


def text_array(array: Array, name: str) -> Array:
    """Text as the runtime takes it."""
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind != "U":
        raise unsafe(array, name, "string", "text (a dtype such as '<U16')")
    return array.astype(object)


def narrowed(array: Array, name: str, element: str) -> Array:
    """Numbers of any kind that can be the type's, each rounded to the nearest; outside its range is refused."""
    is_whole = element in narrow.SMALL_INTEGERS
    if array.dtype.kind not in ("iub" if is_whole else "fiub"):
        raise unsafe(array, name, element, "int8" if is_whole else "float32")
    least, most = limits(element)
    if array.size and not (least <= array.min() and array.max() <= most):
        raise EngineError(
            f"The array {name} in the file of input arrays has numbers from {array.min()} to {array.max()}, "
            f"and the model's {element} holds {least:g} to {most:g}."
        )
    elements = stored(np.ascontiguousarray(array if is_whole else array.astype(np.float64)), element)
    return elements if KINDS[element].per_byte > 1 else elements.reshape(array.shape)


def unsafe(array: Array, name: str, element: str, wanted: str) -> EngineError:
    """The error for an array whose numbers would change on their way into the model."""
    return EngineError(
        f"The array {name} in the file of input arrays is {array.dtype}, which does not safely become the model's "
        f"{element}; save it as {wanted}."
    )
