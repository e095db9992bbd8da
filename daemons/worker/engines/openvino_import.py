"""The package `openvino`, if it is installed here, without what no measurement needs."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def left_out(name: str) -> Iterator[None]:
    """Imports inside don't get the module `name`, and must do without it."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


def imported() -> tuple[Any, str]:
    """The package, or None and why.

    Its converter of other frameworks' models brings in telemetry, HTTP and subprocesses: 14 MB in every peak, of which
    nothing has a part in a measurement. The package itself is prepared to find it missing.
    """
    with left_out("openvino.tools.ovc"):
        try:
            return importlib.import_module("openvino"), ""
        except ImportError as error:
            return None, str(error)


ov, why_absent = imported()
