"""Tiny wheels, and a package index (PEP 503) on this machine that serves them: to pip it is one like any other."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOY = "bf-toy-runtime"
"""A package that no index has: its module `bf_toy` says its version, and where it lies."""


class Index:
    """What the index has, by file name; with `hangs` set it answers no request for a file."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.hangs = threading.Event()
        self.asked = threading.Event()
        self.released = threading.Event()
        self.url = ""

    def add_toy(self, version: str, says: str | None = None) -> None:
        """The toy runtime in this version, which may say another one of itself."""
        name, content = wheel(TOY, version, {"bf_toy.py": f"__version__ = {says or version!r}\n"})
        self.files[name] = content

    def page(self, package: str) -> bytes:
        """The list of a package's files."""
        begin = package.replace("-", "_") + "-"
        return "".join(f'<a href="/files/{name}">{name}</a>' for name in self.files if name.startswith(begin)).encode()


def wheel(package: str, version: str, modules: dict[str, str]) -> tuple[str, bytes]:
    """File name and content of a wheel with these modules."""
    stem = f"{package.replace('-', '_')}-{version}"
    files = modules | {
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    files[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n"
    name = f"{stem}-py3-none-any.whl"
    return name, _zipped(files)


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def _zipped(files: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return content.getvalue()


@contextmanager
def serving_index(index: Index) -> Iterator[Index]:
    """Serve it on loopback from a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            *_, kind, name = self.path.rstrip("/").split("/")
            index.asked.set()
            if kind == "files" and index.hangs.is_set():
                index.released.wait(60)
            content = index.files.get(name) if kind == "files" else index.page(name)
            self.send_response(200 if content else 404)
            self.send_header("Content-Type", "application/octet-stream" if kind == "files" else "text/html")
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
    try:
        yield index
    finally:
        index.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def hermetic(monkeypatch, root: Path) -> None:
    """Have pip know of no index but the one that it is told, and the environment find `tests.support`."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(root))
