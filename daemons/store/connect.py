"""Opens the store: one pool of connections, the scripts, and a room for each subject."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from daemons.core.errors import ConfigInvalid
from daemons.store.broadcast import Broadcast
from daemons.store.campaigns import Campaigns
from daemons.store.census import Census
from daemons.store.duties import Duties
from daemons.store.events import Events
from daemons.store.fleet import Fleet
from daemons.store.health import Health
from daemons.store.history import History
from daemons.store.lists import Lists
from daemons.store.lua import Scripts
from daemons.store.models import Models
from daemons.store.outbox import Outbox
from daemons.store.queue import Queue
from daemons.store.server import Server
from daemons.store.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONNECT_TIMEOUT_S: Final = 1.0
REPLY_TIMEOUT_S: Final = 1.5
"""Short, so that a request of ours answers 503 within two seconds when the server hangs."""
SUBMIT_TIMEOUT_S: Final = 20.0
"""A campaign of 100,000 jobs is one step, and may take longer than that."""


def connect(url: str, *, reply_timeout_s: float, max_connections: int = 256) -> Redis:
    """A client that never repeats a command by itself: whether a step may be sent again is its caller's to know.

    When all of its connections are in use, a command waits for one for as long as it would wait for its reply.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            timeout=reply_timeout_s,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=reply_timeout_s,
            max_connections=max_connections,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
    except ValueError as error:
        raise ConfigInvalid(f"redis.url: {error}; it must be like redis://host:6379/0, or 'embedded'") from error
    return Redis.from_pool(pool)


class Store:
    """All that the fleet knows, by subject. Raises StoreUnavailable wherever the server doesn't answer."""

    def __init__(self, redis: Redis, patient: Redis, prefix: str, url: str | None = None) -> None:
        self.prefix = prefix
        self.public_url = url if url and not _holds_password(url) else None
        """Where the server is, for others on this machine; None where that would tell a password."""
        scripts = Scripts(redis, prefix)
        self.campaigns = Campaigns(redis, patient, scripts, prefix)
        self.census = Census(scripts)
        self.lists = Lists(redis, scripts, prefix)
        self.queue = Queue(redis, scripts, prefix)
        self.fleet = Fleet(redis, scripts, prefix)
        self.health = Health(redis, scripts, prefix)
        self.models = Models(redis, scripts, prefix)
        self.history = History(redis, prefix)
        self.outbox = Outbox(redis, scripts, prefix)
        self.duties = Duties(scripts)
        self.webhooks = Webhooks(scripts)
        self.events = Events(scripts)
        self.broadcast = Broadcast(redis, self.events, prefix)
        self.server = Server(redis, patient, scripts, prefix)


def _holds_password(url: str) -> bool:
    parts = urlsplit(url)
    return parts.password is not None or "password=" in parts.query


@asynccontextmanager
async def open_store(url: str, prefix: str) -> AsyncIterator[Store]:
    """The store at `url`, closed at the end. Opening doesn't need the server to be there yet."""
    redis = connect(url, reply_timeout_s=REPLY_TIMEOUT_S)
    patient = connect(url, reply_timeout_s=SUBMIT_TIMEOUT_S, max_connections=32)
    try:
        yield Store(redis, patient, prefix, url)
    finally:
        await redis.aclose()
        await patient.aclose()
