"""A web server of models over real sockets: versions, redirects, cut-off transfers, errors."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web


class ModelServer:
    """Serves `files` by name with entity tags. `behaviour[name]` replaces the answer."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.behaviour: dict[str, Callable[[web.Request], Any]] = {}
        self.requests: list[web.Request] = []
        self.statuses: list[int] = []
        self.with_validators = True
        self.origin = ""

    def url(self, name: str) -> str:
        """Where a file is."""
        return f"{self.origin}/{name}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer, and keep the request and its answer's status."""
        self.requests.append(request)
        name = request.path.removeprefix("/")
        special = self.behaviour.get(name)
        answer = await special(request) if special else self._serve(name, request)
        self.statuses.append(answer.status)
        return answer

    def _serve(self, name: str, request: web.Request) -> web.Response:
        if name not in self.files:
            return web.Response(status=404, text="no such file")
        headers = self._version(name)
        if self.with_validators and request.headers.get("If-None-Match") == headers.get("ETag", "none"):
            return web.Response(status=304, headers=headers)
        return web.Response(body=self.files[name], headers=headers)

    def _version(self, name: str) -> dict[str, str]:
        tag = f'"{hashlib.sha256(self.files[name]).hexdigest()[:16]}"'
        return {"ETag": tag} if self.with_validators else {}

    async def beginning(self, name: str, request: web.Request, size: int) -> web.StreamResponse:
        """An answer with `name` of which `size` bytes are sent; the caller sends the rest, or doesn't."""
        content = self.files[name]
        response = web.StreamResponse(headers=self._version(name) | {"Content-Length": str(len(content))})
        await response.prepare(request)
        await response.write(content[:size])
        return response

    def breaking_off(
        self, name: str, after_bytes: int, *, ranges: bool = True, **headers: str
    ) -> Callable[[web.Request], Any]:
        """Serves `name` at most `after_bytes` at a time and then cuts the connection; continues where it is asked to.

        `headers` (with _ for -) replace the entity tag.
        """

        async def answer(request: web.Request) -> web.StreamResponse:
            content, version = self.files[name], {key.replace("_", "-"): value for key, value in headers.items()}
            version = version or self._version(name)
            asked, start, code = request.headers.get("Range"), 0, 200
            if ranges and asked and request.headers.get("If-Range") in version.values():
                start, code = int(asked.removeprefix("bytes=").removesuffix("-")), 206
                version["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            rest = content[start:]
            response = web.StreamResponse(status=code, headers=version | {"Content-Length": str(len(rest))})
            await response.prepare(request)
            await response.write(rest[:after_bytes])
            if len(rest) > after_bytes:
                assert request.transport is not None
                request.transport.close()
            return response

        return answer


def status(code: int, **headers: str) -> Callable[[web.Request], Any]:
    """Answers with a status alone."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


def cut_off(announced: int, sent: bytes) -> Callable[[web.Request], Any]:
    """Announces `announced` bytes, sends `sent`, and cuts the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(announced)})
        await response.prepare(request)
        await response.write(sent)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def once(first: Callable[[web.Request], Any], server: ModelServer, name: str) -> Callable[[web.Request], Any]:
    """Behaves like `first` for one request, and as usual after it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        del server.behaviour[name]
        return await first(request)

    return answer


@contextlib.asynccontextmanager
async def serving_models(host: str = "127.0.0.1") -> AsyncIterator[ModelServer]:
    """A model server on a free port."""
    server = ModelServer()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", server.handle)
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    server.origin = f"http://{host}:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
