"""A worker's place in the fleet: registering, being known by an id, and leaving in good order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

import structlog
import yarl

from daemons.client import Client
from daemons.core.errors import BenchfleetError, ConfigInvalid
from daemons.core.models import PROTOCOL_VERSION, GoodbyeRequest, Registered, RegisterRequest
from daemons.worker.patience import Contact

log = structlog.get_logger(__name__)

GOODBYE_TIMEOUT_S: Final = 3.0


class Membership:
    """What the orchestrator knows this process by. `worker_id` is there once `join` has returned."""

    def __init__(self, client: Client, contact: Contact, card: RegisterRequest) -> None:
        self._client = client
        self._contact = contact
        self._card = card
        self._registered: Registered | None = None

    @property
    def instance_id(self) -> str | None:
        """Names this process."""
        return self._card.instance_id

    @property
    def units(self) -> list[str]:
        """The compute units that this device offers."""
        return self._card.capabilities

    @property
    def worker_id(self) -> str:
        """Names this device."""
        return self._known.worker_id

    @property
    def heartbeat_interval_s(self) -> float:
        """How often the orchestrator wants to hear of a job that is being worked on."""
        return self._known.heartbeat_interval_s

    @property
    def _known(self) -> Registered:
        if self._registered is None:
            raise RuntimeError("a worker has no id before it has registered")
        return self._registered

    async def join(self) -> None:
        """Register, however long it takes until the orchestrator answers. Safe to do again at any time."""
        await self._contact.insist(self._register)

    async def join_again(self) -> None:
        """Register once more, in one try, after the orchestrator has forgotten this worker."""
        await self._contact.ask(self._register)

    async def leave(self) -> None:
        """Say goodbye, if somebody listens."""
        if self._registered is None:
            return
        goodbye = GoodbyeRequest(instance_id=self.instance_id)
        with contextlib.suppress(BenchfleetError, TimeoutError):
            async with asyncio.timeout(GOODBYE_TIMEOUT_S):
                await self._client.goodbye(self.worker_id, goodbye)
        log.info("worker left", worker_id=self.worker_id)

    async def _register(self) -> None:
        answer = await self._client.register(self._card)
        check_protocol(answer.protocol_version)
        self._registered = answer
        log.info("worker registered", worker_id=answer.worker_id, action=answer.action, units=self.units)


def check_protocol(theirs: int) -> None:
    """Raise ConfigInvalid, naming who must be upgraded, when worker and orchestrator can't understand each other."""
    if theirs != PROTOCOL_VERSION:
        older = "the orchestrator" if theirs < PROTOCOL_VERSION else "this worker"
        raise ConfigInvalid(
            f"the orchestrator speaks protocol {theirs} and this worker {PROTOCOL_VERSION}: upgrade {older}"
        )


def address_towards(url: str) -> str:
    """The machine's own address on the way to `url`, or "" when there is no way. Nothing is sent."""
    target = yarl.URL(url)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError:
        return ""
