"""The models that every worker brings along: taken from the program's own files as others are from the network.

They go the same way from there on, so that a checkup shows whether this device's disk takes models, too.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Final

from daemons.core.health import BUILTIN_MODELS, unknown_builtin
from daemons.core.urls import BUILTIN
from daemons.transfer.download import Fetched, NotFetched
from daemons.transfer.partial import Partial, Validators

_FOLDER: Final = resources.files("daemons.core") / "reference"
_ANEW: Final = "install benchfleet on this device anew"


def is_builtin(url: str) -> bool:
    """Whether it names a model that workers bring along."""
    return url.startswith(BUILTIN)


def fetch(url: str, partial: Partial) -> Fetched:
    """Write the model that `url` names into `partial`.

    Raises NotFetched if this worker has no such model, or other bytes under its name; OSError if it can't be written.
    """
    name = url.removeprefix(BUILTIN)
    content = _read(name)
    partial.begin(Validators(), None, len(content))
    with partial.open():
        partial.append(content)
        partial.sync()
    return Fetched(sha256=partial.sha256, size_bytes=partial.size_bytes, validators=Validators())


def _read(name: str) -> bytes:
    if name not in BUILTIN_MODELS:
        raise NotFetched(unknown_builtin(name))
    try:
        content = (_FOLDER / f"{name}.onnx").read_bytes()
    except OSError as error:
        raise NotFetched(f"the built-in model {name} can't be read ({error.strerror}); {_ANEW}") from error
    if hashlib.sha256(content).hexdigest() != BUILTIN_MODELS[name]:
        raise NotFetched(f"the built-in model {name} has other bytes than it was made with; {_ANEW}")
    return content
