"""The REST client of the worker, the command line and the dashboard: one method for each thing that is asked.

It knows addresses, bodies and errors of the API, and nothing of who asks. What a person reads comes back as plain
documents; what a worker acts on comes back typed.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
import yarl

from daemons import modelclient
from daemons.core import answers_models, errors, models
from daemons.core.errors import BenchfleetError, ConfigInvalid, NotAuthenticated, OrchestratorUnavailable, Unavailable

Document = dict[str, Any]
T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 5.0
REQUEST_TIMEOUT_S: Final = 30.0
UPLOAD_TIMEOUT_S: Final = 120.0
KEEPALIVE_S: Final = 10.0
"""Below the server's 15 s: a connection that the server is about to close is never used again."""

_BY_STATUS: Final[dict[int, type[BenchfleetError]]] = {
    401: errors.NotAuthenticated,
    403: errors.NotAllowed,
    404: errors.NotFound,
    408: errors.OrchestratorUnavailable,
    409: errors.Conflict,
    413: errors.TooLarge,
    415: errors.UnsupportedMediaType,
    429: errors.OrchestratorUnavailable,
}


def _family(base: type[BenchfleetError]) -> list[type[BenchfleetError]]:
    return [base, *(kind for child in base.__subclasses__() for kind in _family(child))]


_BY_CODE: Final = {re.sub(r"(?<=.)([A-Z])", r"_\1", kind.__name__).lower(): kind for kind in _family(BenchfleetError)}


class _ClaimAnswer(msgspec.Struct, frozen=True):
    job: models.ClaimedJob


class Client:
    """A connection to one orchestrator, used as ``async with Client(url) as client``.

    `url` is the server's address without ``/api``; `token_file` holds the bearer token, and is read again when the
    orchestrator refuses it. Every method raises the error of `daemons.core.errors` that the server named, with the
    server's own sentence, or OrchestratorUnavailable when there is no usable answer.
    """

    def __init__(self, url: str, token_file: str | Path | None = None) -> None:
        self._base = _base_address(url)
        self._token_file = Path(token_file) if token_file is not None else None
        self._token = _read_token(self._token_file)
        self._session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        """The server's address, fit to be shown."""
        return self._base

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        connector = aiohttp.TCPConnector(keepalive_timeout=KEEPALIVE_S)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def register(self, request: models.RegisterRequest) -> models.Registered:
        """Make this device known; the same UDID again is the same worker."""
        return await self._typed(models.Registered, "POST", "register", request)

    async def claim(
        self, worker_id: str, request: models.ClaimRequest, *, wait_s: float = 25.0
    ) -> models.ClaimedJob | None:
        """The job that the worker shall do, or None when there was none for `wait_s` seconds."""
        path = f"workers/{_segment(worker_id)}/claim"
        body = await self._send("POST", path, request, query={"wait": f"{wait_s:g}"}, patience_s=wait_s)
        return self._decode(body, _ClaimAnswer).job if body else None

    async def heartbeat(self, worker_id: str, request: models.HeartbeatRequest) -> models.BeatAnswer:
        """A sign of life, and what the orchestrator wants of the worker."""
        return await self._typed(models.BeatAnswer, "POST", f"workers/{_segment(worker_id)}/heartbeat", request)

    async def result(self, job_id: str, report: msgspec.Raw | msgspec.Struct) -> Document:
        """Deliver a report. The same one again is answered like the first."""
        return await self._typed(Document, "POST", f"jobs/{_segment(job_id)}/result", report, UPLOAD_TIMEOUT_S)

    async def release(self, job_id: str, request: models.ReleaseRequest) -> Document:
        """Hand a claimed job back unharmed."""
        return await self._typed(Document, "POST", f"jobs/{_segment(job_id)}/release", request)

    async def goodbye(self, worker_id: str, request: models.GoodbyeRequest) -> Document:
        """Leave in good order."""
        return await self._typed(Document, "POST", f"workers/{_segment(worker_id)}/goodbye", request)

    async def health(self) -> Document:
        """State of the orchestrator and its database."""
        return await self._get("health")

    async def reset(self) -> Document:
        """Clear all workers, campaigns, jobs and results."""
        return await self._typed(Document, "POST", "reset", {})

    async def workers(self) -> Document:
        """All workers."""
        return await self._get("workers")

    async def worker(self, worker_id: str) -> Document:
        """One worker."""
        return await self._get(f"workers/{_segment(worker_id)}")

    async def set_status(self, worker_id: str, status: str) -> Document:
        """Set a worker's status by hand."""
        return await self._typed(Document, "PUT", f"workers/{_segment(worker_id)}/status", {"status": status})

    async def worker_health(self, worker_id: str) -> Document:
        """When one worker was last heard."""
        return await self._get(f"workers/{_segment(worker_id)}/health")

    async def workers_health(self) -> Document:
        """When each worker was last heard."""
        return await self._get("health/workers")

    async def reset_worker(self, worker_id: str) -> Document:
        """Take a faulty worker back into service."""
        return await self._typed(Document, "PUT", f"workers/{_segment(worker_id)}/reset", {})

    async def submit(self, campaign: Document | msgspec.Struct, *, idempotency_key: str | None = None) -> Document:
        """Create a campaign. With the same `idempotency_key` again, the first one's answer comes back."""
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        body = await self._send("POST", "campaigns", campaign, headers=headers, patience_s=UPLOAD_TIMEOUT_S)
        return self._decode(body, Document)

    async def campaigns(self) -> Document:
        """All campaigns."""
        return await self._get("campaigns")

    async def campaign(self, campaign_id: str) -> Document:
        """One campaign with the states of its jobs."""
        return await self._get(f"campaigns/{_segment(campaign_id)}")

    async def results(self, campaign_id: str) -> str:
        """The campaign's rows so far, as CSV."""
        return (await self._send("GET", f"campaigns/{_segment(campaign_id)}/results")).decode()

    async def cancel(self, campaign_id: str) -> Document:
        """Cancel what is pending and running of a campaign."""
        return await self._typed(Document, "POST", f"campaigns/{_segment(campaign_id)}/cancel", {})

    async def job(self, job_id: str) -> Document:
        """One job and its result."""
        return await self._get(f"jobs/{_segment(job_id)}")

    async def queue_status(self) -> Document:
        """How much is waiting, by worker and by unit."""
        return await self._get("queue/status")

    async def results_files(self) -> Document:
        """The CSV files that have been written."""
        return await self._get("results/files")

    async def download(self, filename: str) -> bytes:
        """One CSV file."""
        return await self._send("GET", f"results/download/{_segment(filename)}", patience_s=UPLOAD_TIMEOUT_S)

    async def models(self, *, limit: int = 1000, cursor: str | None = None) -> Document:
        """The models that the orchestrator keeps, by name; with `next_cursor` where there are more."""
        query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        return self._decode(await self._send("GET", "models", query=query), Document)

    async def upload_model(
        self, path: str | Path, name: str | None = None, on_progress: modelclient.Progress | None = None
    ) -> Document:
        """Upload a file as the model `name` (None: the file's own): the model as it is kept then.

        What breaks off goes on where it ended. `on_progress` is told how many bytes are sent, of how many. Raises
        OSError if the file can't be read.
        """
        return await modelclient.upload(self, Path(path), name, on_progress or _ignore)

    async def upload_state(self, name: str, size_bytes: int, sha256: str) -> Document:
        """How far the upload of a model is, and whether its bytes are kept already; NoRoom if they won't fit."""
        query = {"size_bytes": str(size_bytes), "sha256": sha256}
        return self._decode(await self._send("GET", f"models/{_segment(name)}/upload", query=query), Document)

    async def download_model(
        self, name: str, path: str | Path, on_progress: modelclient.Progress | None = None
    ) -> None:
        """Have a model in the file at `path`, whole, or leave what is there alone. OSError if it can't be written."""
        await modelclient.download(self, name, Path(path), on_progress or _ignore)

    async def delete_model(self, name: str) -> Document:
        """Forget a model's name, and remove what nothing else needs of it."""
        return await self._typed(Document, "DELETE", f"models/{_segment(name)}")

    async def campaign_model(self, campaign_id: str, *, wait_s: float = 20.0) -> answers_models.CampaignModel:
        """Where a worker gets the model of a campaign from; the orchestrator may be fetching it for `wait_s`."""
        path = f"campaigns/{_segment(campaign_id)}/model"
        body = await self._send("POST", path, query={"wait": f"{wait_s:g}"}, patience_s=wait_s)
        return self._decode(body, answers_models.CampaignModel)

    async def monitoring_stats(self) -> Document:
        """What the periodic duties have done."""
        return await self._get("monitoring/stats")

    async def _get(self, path: str) -> Document:
        return await self._typed(Document, "GET", path)

    async def _typed(self, wanted: type[T], method: str, path: str, body: object = None, patience_s: float = 0.0) -> T:
        return self._decode(await self._send(method, path, body, patience_s=patience_s), wanted)

    async def _send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        patience_s: float = 0.0,
    ) -> bytes:
        """The body of a 2xx answer; `patience_s` is added to the usual time limit."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S + patience_s, sock_connect=CONNECT_TIMEOUT_S)
        data, sent = None if body is None else msgspec.json.encode(body), self._headers(body) | (headers or {})
        try:
            async with await self._request(method, path, query, data=data, headers=sent, timeout=timeout) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise self._silence(error) from error
        if answer.ok and answer.status < 300:
            return content
        raise self._refusal(answer, content)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: AsyncIterator[bytes] | bytes | None = None,
        answer_in_s: float = REQUEST_TIMEOUT_S,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A 2xx answer whose body is read bit by bit, each within `answer_in_s`, as is its beginning."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=answer_in_s)
        sent = self._headers(None) | {"Accept-Encoding": "identity"} | dict(headers or {})
        try:
            answer = await self._request(method, path, None, data=data, headers=sent, timeout=timeout)
        except (aiohttp.ClientError, OSError) as error:
            raise self._silence(error) from error
        async with answer:
            if not (answer.ok and answer.status < 300):
                raise await self._read_refusal(answer)
            yield answer

    async def _read_refusal(self, answer: aiohttp.ClientResponse) -> BenchfleetError:
        try:
            return self._refusal(answer, await answer.read())
        except (aiohttp.ClientError, OSError) as error:
            return self._silence(error)

    async def _request(
        self, method: str, path: str, query: dict[str, str] | None, **more: Any
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("a Client is used inside `async with`")
        address = yarl.URL(f"{self._base}/api/{path}", encoded=True).with_query(query)
        return await self._session.request(method, address, allow_redirects=False, **more)

    def _silence(self, error: BaseException) -> OrchestratorUnavailable:
        told = f"no answer from the orchestrator at {self._base} ({_cause(error)})"
        return OrchestratorUnavailable(f"{told}; is it running there, and can this machine reach it?")

    def _headers(self, body: object) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return headers | ({"Content-Type": "application/json"} if body is not None else {})

    def _refusal(self, answer: aiohttp.ClientResponse, content: bytes) -> BenchfleetError:
        problem = _problem(content)
        if problem is None:  # a proxy, or some other server: it can't be believed about jobs and workers
            return OrchestratorUnavailable(
                f"{self._base} answers HTTP {answer.status}, and not as a benchfleet orchestrator does; check the URL"
            )
        kind = _kind_of(answer.status, problem.get("code"))
        error = kind(str(problem.get("error") or problem.get("detail") or f"HTTP {answer.status}"))
        if isinstance(error, NotAuthenticated):
            self._token = _read_token(self._token_file)  # it may have been replaced since it was read
        if isinstance(error, Unavailable) and (answer.headers.get("Retry-After") or "").isdigit():
            error.retry_after_s = int(answer.headers["Retry-After"])
        return error

    def _decode(self, body: bytes, wanted: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=wanted)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise OrchestratorUnavailable(
                f"{self._base} answers, but not as this version's orchestrator does ({error}); check the URL"
            ) from error


def _ignore(_done: int, _total: int) -> None:
    """Nobody wants to know."""


def _base_address(url: str) -> str:
    """The server's address without a trailing slash or ``/api``, or ConfigInvalid."""
    try:
        parsed = yarl.URL(url)
    except ValueError as error:
        raise ConfigInvalid("the orchestrator's address is no URL; it must look like http://HOST:PORT") from error
    if parsed.user or parsed.password:
        raise ConfigInvalid("the orchestrator's address must not hold a user name or password; use a token file")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigInvalid(f"the orchestrator's address must look like http://HOST:PORT, and is {url!r}")
    return str(parsed.with_query(None).with_fragment(None)).rstrip("/").removesuffix("/api")


def _read_token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"the token file {path} can't be read: {error}") from error
    if not token or not token.isprintable():
        raise ConfigInvalid(f"the token file {path} must hold one line, the token, and doesn't")
    return token


def _segment(identifier: str) -> str:
    """An identifier as one segment of a path, whatever it holds; ``..`` leads nowhere."""
    quoted = quote(identifier, safe="")
    return quoted.replace(".", "%2E") if identifier in (".", "..") else quoted


def _problem(content: bytes) -> Document | None:
    try:
        return msgspec.json.decode(content, type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _kind_of(status: int, code: object) -> type[BenchfleetError]:
    if isinstance(code, str) and code in _BY_CODE:
        return _BY_CODE[code]
    return _BY_STATUS.get(status, OrchestratorUnavailable if status >= 500 else errors.InvalidInput)


def _cause(error: BaseException) -> str:
    """Why there was no answer, in few words."""
    match error:
        case TimeoutError():
            return "it took too long"
        case aiohttp.ClientConnectorDNSError():
            return f"the host name {error.host} can't be resolved"
        case OSError(errno=int(number)):  # aiohttp's own text names addresses and TLS settings before the cause
            return os.strerror(number).lower()
        case _:
            return str(error) or type(error).__name__
