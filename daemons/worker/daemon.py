"""The worker daemon: everything wired together in one place, started and stopped in good order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import msgspec
import structlog

from daemons.client import Client
from daemons.core.errors import ConfigInvalid
from daemons.core.health import BUILTIN_MODELS
from daemons.core.models import RegisterRequest
from daemons.core.settings import WorkerSettings
from daemons.runtime.folders import state_folder
from daemons.runtime.locks import FileLock
from daemons.runtime.notify import Notifier
from daemons.runtime.supervise import supervise
from daemons.transfer.download import Limits
from daemons.worker.agent import LAST_DELIVERY_S, RELEASE_TIMEOUT_S, Agent, Uplink
from daemons.worker.attempt import Attempts, Bench
from daemons.worker.bench.leftover import kill_leftover
from daemons.worker.bench.runner import Bench as ChildBench
from daemons.worker.calm import Calm
from daemons.worker.credentials import load_credentials
from daemons.worker.deliver import Outbox
from daemons.worker.devicelock import measuring_lock
from daemons.worker.environments import Environments
from daemons.worker.home import Home
from daemons.worker.host import boot_id, device_facts
from daemons.worker.identity import device_udid
from daemons.worker.membership import GOODBYE_TIMEOUT_S, Membership, address_towards
from daemons.worker.models import ModelCache
from daemons.worker.patience import Contact
from daemons.worker.probe import Probe, probe_units

log = structlog.get_logger(__name__)

GB: Final = 10**9
FAREWELL_S: Final = RELEASE_TIMEOUT_S + LAST_DELIVERY_S + GOODBYE_TIMEOUT_S + 1.0
"""What leaving takes at most, after the drain time; a service manager must allow for both."""

DeviceLock = Callable[[], AbstractAsyncContextManager[object]]


async def run(settings: WorkerSettings, *, salt: str = "", stop: asyncio.Event | None = None) -> None:
    """Work until `stop` is set or a signal asks for it.

    Several workers on one machine have a state folder each, which makes each a device of its own to the fleet; a
    `salt` does the same by another name. Raises ConfigInvalid for settings that can't be used, AlreadyRunning if the
    state folder is taken, and WorkerReplaced when a newer process has registered as this device.
    """
    stop = stop or asyncio.Event()
    state = state_folder("worker", settings.storage.state_dir)
    _make_folder(state)
    with FileLock(state / "owner.lock").held_now():
        await _serve(settings, state, salt or identity_salt(settings, state), stop)


def identity_salt(settings: WorkerSettings, state: Path) -> str:
    """What keeps workers of one machine apart: nothing for the one in the usual folder, else the folder's place."""
    return "" if settings.storage.state_dir is None else str(state)


async def _serve(settings: WorkerSettings, state: Path, salt: str, stop: asyncio.Event) -> None:
    record, notifier = state / "child.json", Notifier.from_environ()
    await asyncio.to_thread(kill_leftover, record)
    probe = await probe_units()
    card = await asyncio.to_thread(_card, settings, state, salt, probe)
    bench = ChildBench(probe.serving, record, await asyncio.to_thread(_environments, settings, state))
    where = settings.orchestrator
    async with _closing(bench), Client(where.url, where.token_file, patience_s=0) as client:  # the agent is patient
        agent = make_agent(settings, client, card, bench, measuring_lock().held, state, notifier.status)
        log.info("worker started", url=client.url, state_dir=str(state), units=card.capabilities)
        notifier.ready("started")
        drain_s = settings.limits.drain_timeout_s + FAREWELL_S
        await supervise({"agent": agent.run}, stop, drain_timeout_s=drain_s, notifier=notifier)


@contextlib.asynccontextmanager
async def _closing(bench: ChildBench) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await bench.close()


def _card(settings: WorkerSettings, state: Path, salt: str, probe: Probe) -> RegisterRequest:
    """What this process registers with."""
    facts = device_facts()
    return RegisterRequest(
        device_name=settings.device.name or socket.gethostname() or "unnamed device",
        ip_address=address_towards(settings.orchestrator.url),
        capabilities=offered_units(settings.device.units, list(probe.units)),
        device_info=msgspec.structs.replace(facts, udid=device_udid(state, salt=salt), engines=probe.engines),
        instance_id=uuid.uuid4().hex,
        boot_id=boot_id(),
        builtin_models=list(BUILTIN_MODELS),
        tags=settings.device.tags,
    )


def offered_units(wanted: list[str] | None, found: list[str]) -> list[str]:
    """The units to offer: those that work here and are `wanted`, in its order; all that work when nothing is said.

    Raises ConfigInvalid when that leaves none.
    """
    offered = found if wanted is None else [unit for unit in wanted if unit in found]
    if not offered:
        here = ", ".join(found) or "none at all"
        asked = f"device.units asks for {', '.join(wanted)}, and " if wanted else ""
        raise ConfigInvalid(f"{asked}the compute units that work on this device are: {here}")
    missing = [unit for unit in wanted or [] if unit not in found]
    if missing:
        log.warning("compute units were asked for and don't work here", units=missing)
    return offered


def make_agent(
    settings: WorkerSettings,
    client: Client,
    card: RegisterRequest,
    bench: Bench,
    device_lock: DeviceLock,
    state: Path,
    say: Callable[[str], object],
) -> Agent:
    """The agent with all that it works with, from its settings."""
    contact, memory_limit_gb = Contact(client.url), settings.limits.memory_limit_gb
    attempts = Attempts(
        card.capabilities,
        _model_cache(settings, client.url, state, Home(client)),
        bench,
        device_lock,
        memory_limit_bytes=None if memory_limit_gb is None else int(memory_limit_gb * GB),
        calm=Calm(settings.measuring.wait_for_calm_s, settings.measuring.cool_down_s),
    )
    return Agent(
        Uplink(client=client, contact=contact, membership=Membership(client, contact, card)),
        attempts,
        Outbox(state),
        drain_timeout_s=settings.limits.drain_timeout_s,
        say=say,
    )


def _environments(settings: WorkerSettings, state: Path) -> Environments:
    engines = settings.engines
    kept = Environments(
        state / "engines", allowed=engines.allowed_packages, index_url=engines.index_url, keep=engines.keep
    )
    kept.clean_up()
    return kept


def _model_cache(settings: WorkerSettings, own_origin: str, state: Path, home: Home | None = None) -> ModelCache:
    limits = Limits(
        max_bytes=int(settings.limits.model_limit_gb * GB),
        private_addresses=settings.limits.private_addresses,
        own_origin=own_origin,
        size_setting="this worker's limits.model_limit_gb",
        address_setting="this worker's limits.private_addresses",
    )
    named = settings.models.credentials_file
    cache = ModelCache(
        state / "models",
        limits,
        limit_bytes=int(settings.storage.cache_limit_gb * GB),
        credentials=None if named is None else load_credentials(Path(named)),
        home=home,
    )
    cache.clean_up()
    return cache


def _make_folder(state: Path) -> None:
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigInvalid(
            f"storage.state_dir: the folder {state} can't be made ({error.strerror}); "
            "set it to a folder that this user may write"
        ) from error
