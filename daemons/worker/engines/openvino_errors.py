"""What OpenVINO's messages mean, in sentences for the person who sent the model."""

from __future__ import annotations

import re
from typing import Final

MAX_DETAIL: Final = 300

_SOURCES: Final = (
    re.compile(r"Exception from [\w./\\-]+:\d+:"),
    re.compile(r"Check '.*?' failed at [\w./\\-]+:\d+:", re.DOTALL),
    re.compile(r"FrontEnd API failed with (?:General)?\w*Failure:"),
)
"""Where in its source OpenVINO noticed something, which helps nobody but its authors."""
_FOLDERS: Final = re.compile(r"(?:[A-Za-z]:)?[\\/](?:[^\s\"':,;()\\/]+[\\/])+")
"""Folders of this device before a file's name."""
_SUMMARY: Final = re.compile(r"Model wasn't fully converted\.|Summary:|Failed operations detailed log:|--")

_ANYWHERE: Final = (
    (r"bad_alloc|MemoryError|out of memory|Cannot allocate memory|Unable to allocate",
     "The device ran out of memory."),
)  # fmt: skip
_OF_LOADING: Final = (
    (r"No conversion rule found|doesn't contain the operation with type|Unsupported (?:type|operation)|NotImplemented",
     "The model uses an operator or a type that OpenVINO doesn't have."),
    (r"dynamic rank",
     "An input of the model doesn't say how many dimensions it has, which OpenVINO needs to know."),
    (r"Empty weights data in bin file",
     "The weights are missing: send the .xml and its .bin of the same name together as a zip."),
    (r"Incorrect weights in bin file",
     "The weights in the .bin are not those of the .xml, or the file was cut off."),
    (r"external data",
     "The model's weights are in a file of their own (external data) that is missing or cut off; send both as a zip."),
    (r"Unable to read the model|can't be parsed|Error parsing|No document element|Error reading|ParseFromIstream",
     "The file is not a model that OpenVINO reads, or it was cut off."),
    (r"Loading input model|isn't found for node|While validating",
     "The model's graph is not valid, or means something else to OpenVINO."),
)  # fmt: skip
_OF_RUNNING: Final = (
    (r"incompatible|input tensor size|Failed to set tensor|was not found|shape_?inference|is_dynamic|broadcast",
     "The model refused its inputs."),
)  # fmt: skip
_MEANINGS: Final = {
    doing: tuple((re.compile(pattern), text) for pattern, text in (*_ANYWHERE, *more))
    for doing, more in {"load": _OF_LOADING, "run": _OF_RUNNING}.items()
}

_OTHERWISE: Final = {
    "load": "OpenVINO could not load the model.",
    "run": "OpenVINO could not run the model.",
}


def sentence(error: Exception, doing: str) -> str:
    """Why `doing` (``load`` or ``run``) failed, followed by the runtime's own words."""
    said = f"{type(error).__name__}: {error}"
    meaning = next((text for pattern, text in _MEANINGS[doing] if pattern.search(said)), _OTHERWISE[doing])
    detail = shortened(str(error))
    return f"{meaning} (OpenVINO: {detail})" if detail else meaning


def shortened(text: str) -> str:
    """The runtime's words without places in its source and folders of this device, on one line."""
    for pattern in (*_SOURCES, _SUMMARY):
        text = pattern.sub(" ", text)
    plain = " ".join(_FOLDERS.sub("", text).split())
    return plain if len(plain) <= MAX_DETAIL else plain[: MAX_DETAIL - 1].rstrip() + "…"
