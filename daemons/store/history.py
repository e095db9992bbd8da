"""How long attempts have taken lately, from claim to report, by unit and model. `finish.lua` keeps that."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from daemons.core.outlook import Kind
from daemons.store.lua import translated_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from redis.asyncio import Redis

PORTION: Final = 1000


class History:
    """Questions about what has been. Every method raises StoreUnavailable when the server doesn't answer."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def durations(self, kinds: Collection[Kind], pins: Mapping[str, str]) -> dict[Kind, float]:
        """Seconds that an attempt takes, of those kinds that are known. `pins` has the hashes of models, by URL.

        What is known of a model's bytes outranks what is known of its URL.
        """
        wanted = [(kind, field) for kind in kinds for field in _fields(kind, pins)]
        found: dict[Kind, float] = {}
        for start in range(0, len(wanted), PORTION):
            portion = wanted[start : start + PORTION]
            with translated_errors():
                means: Any = await self._redis.hmget(f"{self._prefix}durations", [field for _, field in portion])
            for (kind, _), mean in zip(portion, means, strict=True):
                if mean is not None:
                    found.setdefault(kind, int(mean) / 1000)
        return found


def _fields(kind: Kind, pins: Mapping[str, str]) -> list[str]:
    """Where it may be found, as `finish.lua` has it: by the hash of the model, and by that of its URL."""
    of_url = hashlib.sha1(kind.model_url.encode(), usedforsecurity=False).hexdigest()
    return [f"{kind.unit}|{name}" for name in (pins.get(kind.model_url), of_url) if name is not None]
