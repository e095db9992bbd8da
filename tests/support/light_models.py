"""The real networks of the package `onnx`, served over HTTP from a thread."""

from __future__ import annotations

import functools
import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def light_models() -> Path:
    """The folder of `light_squeezenet.onnx`, `light_resnet50.onnx` and others."""
    spec = importlib.util.find_spec("onnx")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "backend/test/data/light"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """A test's output is no place for it."""


@contextmanager
def serve_light_models() -> Iterator[str]:
    """The folder's address."""
    handler = functools.partial(_Quiet, directory=str(light_models()))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
