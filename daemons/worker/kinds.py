"""Kinds of models, told by names alone: how each of them travels, and which one an archive holds. Pure.

One file: .onnx, .mlmodel (Core ML), or whatever else, which is taken for ONNX. A folder, which travels as a zip:
.mlpackage, .mlmodelc (Core ML). Two files, which travel as a zip: .xml with its .bin (OpenVINO's IR).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from daemons.worker.archive import ArchiveRefused, listed

ONNX: Final = ".onnx"
CORE_ML_FILE: Final = ".mlmodel"
CORE_ML_FOLDERS: Final = (".mlpackage", ".mlmodelc")
OPENVINO: Final = ".xml"
WEIGHTS: Final = ".bin"

_FILES: Final = (ONNX, ".npz", CORE_ML_FILE, OPENVINO)
"""What is a file of its own, and never an archive that was given another name."""
_IN_PACKAGES: Final = "com.apple.CoreML"
_IN_COMPILED: Final = "coremldata.bin"


def ending_of(name: str) -> str:
    """What a name says about its kind: ``.mlmodel`` of ``a/Net.MLMODEL``."""
    return PurePosixPath(name.lower()).suffix


def objection(name: str, *, is_zip: bool) -> str | None:
    """What is wrong with a file that came under this name; None when nothing is."""
    ending = ending_of(name)
    if is_zip:
        return (
            f"{name} is a zip archive: if it holds a model, give it a name that ends with .zip"
            if ending in _FILES
            else None
        )
    if ending == ".zip":
        return f"{name} is no zip archive, whatever its name says"
    if ending in CORE_ML_FOLDERS:
        return f"{name} is no zip archive, and an {ending} is a folder: send the whole folder as a zip"
    if ending == OPENVINO:
        return f"{name} comes without its weights: send it together with its {WEIGHTS} of the same name as a zip"
    return None


def find_model(names: Iterable[str]) -> str:
    """The one model among the files of an archive: that at its top, else the only one there is; its file or folder.

    Raises ArchiveRefused for none or several, with what there is instead.
    """
    files = sorted(name for name in names if not _is_metadata(name))
    models = models_among(files)
    found = [name for name in models if "/" not in name] or models
    if len(found) == 1:
        return found[0]
    if found:
        raise ArchiveRefused(f"the archive holds {len(found)} models and must hold one: {listed(found)}")
    raise ArchiveRefused(_without_model(files))


def models_among(files: list[str]) -> list[str]:
    """Every model, a folder once; what lies inside a folder that is one belongs to it."""
    found, there = dict.fromkeys(package for name in files if (package := _package_of(name))), set(files)
    loose = [name for name in files if _package_of(name) is None]
    return [*found, *(name for name in loose if _is_model(name, there))]


def _is_model(name: str, there: set[str]) -> bool:
    ending = ending_of(name)
    if ending == OPENVINO:
        return _weights_of(name) in there
    return ending == ONNX or (ending == CORE_ML_FILE and _IN_PACKAGES not in name.split("/"))


def _weights_of(name: str) -> str:
    return name[: -len(OPENVINO)] + WEIGHTS


def _package_of(name: str) -> str | None:
    """The outermost folder that is a model and that the file `name` is in."""
    parts = name.split("/")
    ends = [index for index, part in enumerate(parts[:-1]) if ending_of(part) in CORE_ML_FOLDERS]
    return "/".join(parts[: ends[0] + 1]) if ends else None


def _without_model(files: list[str]) -> str:
    parts = {part for name in files for part in name.split("/")}
    if _IN_PACKAGES in parts or _IN_COMPILED in parts:
        kind = CORE_ML_FOLDERS[0] if _IN_PACKAGES in parts else CORE_ML_FOLDERS[1]
        return f"the archive holds the inside of an {kind} only: pack the folder itself, whose name ends with {kind}"
    lonely = next((name for name in files if ending_of(name) == OPENVINO), None)
    if lonely is not None:
        return f"the archive holds no model: beside {lonely!r} there is no {_weights_of(lonely).rpartition('/')[2]!r}"
    kinds = f"{ONNX}, {', '.join(CORE_ML_FOLDERS)}, {CORE_ML_FILE}, {OPENVINO} with {WEIGHTS}"
    return f"the archive holds no model ({kinds}); it holds {listed(files) if files else 'no files at all'}"


def _is_metadata(name: str) -> bool:
    """Whether it is what a Mac's Finder adds to archives: a `._model.onnx` that holds attributes, and no model."""
    parts = name.split("/")
    return parts[0] == "__MACOSX" or parts[-1].startswith("._")
