"""What coremltools and Core ML say, in sentences for the person who sent the model."""

from __future__ import annotations

import re
from typing import Final

MAX_DETAIL: Final = 300

_DESCRIPTION: Final = re.compile(r'NSLocalizedDescription\s*=\s*"((?:[^"\\]|\\.)*)"')
"""Core ML's errors come as the text of an Objective-C dictionary."""

_FOLDERS: Final = re.compile(r"(?:file://)?/(?:[^\s/'\"]+/)+")

_MEANINGS: Final = (
    (r"DecodeError|Error parsing message|ModelPackage|Manifest|manifest|libmodelpackage",
     "The file is not a Core ML model, or it was cut off."),
    (r"No module named 'PIL",
     "The model gives a picture, for which coremltools needs Pillow, and this device lacks it: `pip install pillow`."),
    (r"No such file|does not exist|couldn.t be opened",
     "A file of the model is not there."),
    (r"only (?:available|supported) on macOS|requires macOS|not supported in macOS",
     "This macOS is too old for what the model or the job asks for; update it on this device."),
    (r"Error compiling model|compil",
     "Core ML could not compile the model."),
    (r"[Oo]ut of memory|[Cc]annot allocate|MemoryError|bad_alloc",
     "The device ran out of memory."),
    (r"MultiArray shape|does not match the shape|Provided key|not convertible|Unsupported array type|PIL.Image",
     "The model refused its inputs."),
)  # fmt: skip
_PATTERNS: Final = tuple((re.compile(pattern), text) for pattern, text in _MEANINGS)


def sentence(error: BaseException, doing: str) -> str:
    """Why `doing` (``load`` or ``run``) failed, followed by what Core ML or coremltools said."""
    said = f"{type(error).__name__}: {error}"
    meaning = next(
        (text for pattern, text in _PATTERNS if pattern.search(said)), f"Core ML could not {doing} the model."
    )
    detail = shortened(str(error))
    return f"{meaning} (Core ML: {detail})" if detail else meaning


def shortened(text: str) -> str:
    """The words on one line, without the wrapping of an NSError and without folders of this device."""
    found = _DESCRIPTION.search(text)
    plain = " ".join(_FOLDERS.sub("", found[1] if found else text).split())
    return plain if len(plain) <= MAX_DETAIL else plain[: MAX_DETAIL - 1].rstrip() + "…"
