"""The devices: registered, alive, faulty, gone."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

import msgspec

from daemons.core.errors import NotFound
from daemons.core.lifecycle import WorkerStatus
from daemons.core.models import BeatAnswer, HeartbeatRequest, RegisterRequest
from daemons.core.retries import RetryPolicy
from daemons.core.targeting import Device
from daemons.core.units import STANDARD_UNITS
from daemons.core.views import worker_health, worker_view
from daemons.store.keys import check_worker_id
from daemons.store.lua import Scripts, translated_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis


PORTION: Final = 500
"""So many devices are read at a time: other requests are answered in between."""


def identity_of(request: RegisterRequest) -> str:
    """What makes a device the same again: its UDID, or else its name and address."""
    udid = request.device_info.udid
    return f"udid:{udid}" if udid else f"name:{request.device_name}|{request.ip_address}"


def device_cells(request: RegisterRequest) -> dict[str, str | None]:
    """What the CSV says of the device."""
    info = request.device_info
    ram = None if info.ram is None else str(info.ram)
    return {"DeviceName": request.device_name, "Soc": info.soc, "Ram": ram, "DeviceOs": info.device_os}


class Fleet:
    """What is known of workers. Every method raises StoreUnavailable when the server doesn't answer."""

    def __init__(self, redis: Redis, scripts: Scripts, prefix: str) -> None:
        self._redis = redis
        self._scripts = scripts
        self._prefix = prefix

    async def register(self, request: RegisterRequest, policy: RetryPolicy) -> tuple[str, str]:
        """Make a device known: its worker identifier, and ``created`` or ``updated``."""
        answer = await self._scripts.run(
            "register",
            identity=identity_of(request),
            candidate_id=f"worker-{secrets.token_hex(6)}",
            device_name=request.device_name,
            ip_address=request.ip_address,
            capabilities=msgspec.json.encode(request.capabilities).decode(),
            device_info=msgspec.json.encode(request.device_info).decode(),
            device=msgspec.json.encode(device_cells(request)).decode(),
            instance_id=request.instance_id,
            boot_id=request.boot_id,
            builtin_models=msgspec.json.encode(request.builtin_models).decode(),
            tags=msgspec.json.encode(sorted(set(request.tags))).decode(),
            retry=policy.draw(),
        )
        return answer["worker_id"], answer["action"]

    async def heartbeat(self, worker_id: str, beat: HeartbeatRequest) -> BeatAnswer:
        """Count a sign of life. NotFound, WorkerReplaced, or StaleAttempt if the attempt named is over."""
        says_job = beat.job_id is not msgspec.UNSET
        answer = await self._scripts.run(
            "heartbeat",
            worker_id=check_worker_id(worker_id),
            instance_id=beat.instance_id,
            says_job=says_job,
            job_id=beat.job_id if says_job else None,
            attempt=beat.attempt or 0,
            progress=msgspec.json.encode(beat.progress).decode() if beat.progress else None,
            undelivered=beat.undelivered,
        )
        return BeatAnswer(worker_id=worker_id, status=answer["status"], cancel=answer.get("cancel"))

    async def set_status(self, worker_id: str, status: WorkerStatus, reason: str) -> str:
        """Set a worker's status by hand; `faulty` gives its job back to the queue. NotFound if there is none."""
        answer = await self._scripts.run(
            "set_status", worker_id=check_worker_id(worker_id), status=status, cause="by_hand", reason=reason
        )
        return str(answer["status"])

    async def recover(self, worker_id: str) -> tuple[str, bool]:
        """Make a faulty worker ready again: its status, and whether that changed anything. NotFound if none.

        What its checkups have shown is forgotten in any case.
        """
        answer = await self._scripts.run("recover", worker_id=check_worker_id(worker_id))
        return str(answer["status"]), bool(answer["recovered"])

    async def drain(self, worker_id: str, reason: str | None) -> dict[str, Any]:
        """Let a worker take no more jobs, for `reason`, or take them again (None): ``{status, drained, job_id}``."""
        return await self._scripts.run(
            "drain", worker_id=check_worker_id(worker_id), drained=reason is not None, reason=reason
        )

    async def remove(self, worker_id: str, *, force: bool = False) -> dict[str, Any]:
        """Forget a device: ``{failed}`` counts jobs that waited for it alone. Conflict if it lives and isn't forced."""
        return await self._scripts.run("remove_worker", worker_id=check_worker_id(worker_id), force=force)

    async def goodbye(self, worker_id: str, instance_id: str | None) -> str:
        """Note an orderly goodbye; the worker's status then. NotFound or WorkerReplaced."""
        answer = await self._scripts.run("goodbye", worker_id=check_worker_id(worker_id), instance_id=instance_id)
        return str(answer["status"])

    async def lose(self, worker_id: str, beats: int, silent_s: float, policy: RetryPolicy) -> str | bool:
        """Declare a worker lost unless it has beaten since `beats`: False, True, or the job that it ran."""
        answer = await self._scripts.run(
            "lose_worker", worker_id=worker_id, beats=beats, silent_s=silent_s, retry=policy.draw()
        )
        return answer.get("job_id") or bool(answer["lost"])

    async def beats(self) -> dict[str, int]:
        """Signs of life counted, by worker."""
        with translated_errors():
            counts = await self._redis.hgetall(f"{self._prefix}beats")
        return {str(worker_id): int(count) for worker_id, count in counts.items()}

    async def get(self, worker_id: str) -> dict[str, Any]:
        """One worker's view, or NotFound."""
        return worker_view((await self._states([check_worker_id(worker_id)]))[0])

    async def health(self, worker_id: str) -> dict[str, Any]:
        """One worker's health, or NotFound."""
        states = await self._states([check_worker_id(worker_id)])
        return worker_health(states[0], await self._now_ms())

    async def health_of_all(self) -> list[dict[str, Any]]:
        """Every worker's health, by identifier."""
        states = await self._states(await self._identifiers())
        now_ms = await self._now_ms()
        return [worker_health(state, now_ms) for state in states]

    async def devices(self) -> list[Device]:
        """All of them, the oldest first, as far as choosing among them goes."""
        fields = ["registered_at", "worker_id", "capabilities", "tags", "status", "drained"]
        found: list[list[str | None]] = []
        identifiers = await self._identifiers()
        for start in range(0, len(identifiers), PORTION):
            with translated_errors():
                pipeline = self._redis.pipeline(transaction=False)
                for worker_id in identifiers[start : start + PORTION]:
                    pipeline.hmget(f"{self._prefix}worker:{worker_id}", fields)
                found.extend(await pipeline.execute())
        known = [state for state in found if state[0] is not None]
        known.sort(key=lambda state: (int(state[0] or 0), str(state[1])))
        return [_device(state) for state in known]

    async def known_units(self) -> frozenset[str]:
        """The standard compute units, and what any device has ever offered."""
        with translated_errors():
            offered = await self._redis.smembers(f"{self._prefix}units")
        return frozenset(STANDARD_UNITS) | {str(unit) for unit in offered}

    async def _identifiers(self) -> list[str]:
        with translated_errors():
            return sorted(str(worker) for worker in await self._redis.smembers(f"{self._prefix}workers"))

    async def _states(self, identifiers: list[str]) -> list[dict[str, str]]:
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for worker_id in identifiers:
                pipeline.hgetall(f"{self._prefix}worker:{worker_id}")
            states: list[dict[str, str]] = await pipeline.execute()
        if len(identifiers) == 1 and not states[0]:
            raise NotFound(f"there is no worker {identifiers[0]}; GET /api/workers lists them")
        return [state for state in states if state]

    async def _now_ms(self) -> int:
        with translated_errors():
            seconds, microseconds = await self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000


def _device(state: list[str | None]) -> Device:
    _, worker_id, capabilities, tags, status, drained = state
    return Device(
        worker_id=str(worker_id),
        units=tuple(msgspec.json.decode(capabilities or "[]")),
        tags=frozenset(msgspec.json.decode(tags or "[]")),
        status=str(status),
        is_drained=drained is not None,
    )
