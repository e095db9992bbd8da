"""The Redis or Valkey server itself: whether it answers, what it is, and clearing what is ours in it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from redis import exceptions

from daemons.store.keys import as_glob
from daemons.store.lua import Scripts, translated_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis


class Server:
    """Questions to the server. Every method raises StoreUnavailable when it doesn't answer."""

    def __init__(self, redis: Redis, patient: Redis, scripts: Scripts, prefix: str) -> None:
        self._redis = redis
        self._patient = patient
        self._scripts = scripts
        self._prefix = prefix

    async def facts(self) -> dict[str, Any]:
        """What `/api/health` says of the server: product, version, memory, durability and how fast it answers."""
        began = time.monotonic()
        with translated_errors():
            info = await self._redis.info("default")
            latency_ms = round((time.monotonic() - began) * 1000, 2)
            append_fsync = await self._setting("appendfsync")
        return {
            "connected": True,
            "server": "valkey" if "valkey_version" in info else "redis",
            "version": info.get("valkey_version") or info.get("redis_version"),
            "latency_ms": latency_ms,
            "used_memory_mb": round(info["used_memory"] / 2**20, 2),
            "append_only": bool(info.get("aof_enabled")),
            "append_fsync": append_fsync,
            "may_evict": bool(info.get("maxmemory")) and info.get("maxmemory_policy") != "noeviction",
            "append_only_error": info.get("aof_last_write_status") not in (None, "ok"),
            "uptime_s": info.get("uptime_in_seconds"),
        }

    async def _setting(self, name: str) -> str | None:
        """One of the server's settings; None where it doesn't tell, as managed ones don't."""
        try:
            found: Any = await self._redis.config_get(name)
        except exceptions.ResponseError:
            return None
        return str(found[name]) if name in found else None

    async def reset(self) -> dict[str, int]:
        """Remove every key of ours: counts of ``workers``, ``campaigns``, ``jobs``, ``results`` and ``keys``."""
        return await self._scripts.run("reset", client=self._patient, pattern=as_glob(self._prefix))
