"""Loads the scripts and runs them: named arguments in, an answer or one of our errors out."""

from __future__ import annotations

import asyncio
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import msgspec
from redis import exceptions

from daemons.core import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

_PRELUDES: Final = ("prelude.lua", "prelude_checkups.lua")

_REFUSALS: Final[dict[str, type[errors.BenchfleetError]]] = {
    "not_found": errors.NotFound,
    "invalid_input": errors.InvalidInput,
    "conflict": errors.Conflict,
    "stale_attempt": errors.StaleAttempt,
    "worker_replaced": errors.WorkerReplaced,
}

# The server is there but can't serve now: starting up, out of memory or disk, a replica, or busy with a long script.
_PASSING_REPLIES: Final = ("LOADING", "OOM", "MISCONF", "READONLY", "BUSY", "MASTERDOWN", "NOREPLICAS")


def read_sources() -> dict[str, str]:
    """Script name → its whole text, preludes included."""
    folder = resources.files("daemons.store") / "scripts"
    prelude = "\n".join((folder / name).read_text("utf-8") for name in _PRELUDES)
    return {
        entry.name.removesuffix(".lua"): f"{prelude}\n{entry.read_text('utf-8')}"
        for entry in folder.iterdir()
        if entry.name.endswith(".lua") and entry.name not in _PRELUDES
    }


class translated_errors:  # noqa: N801 (reads as a statement: `with translated_errors():`)
    """A block in which what Redis can't do now is raised as StoreUnavailable; what is a bug is let out."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, exceptions.ResponseError) and not str(error).startswith(_PASSING_REPLIES):
            return
        if isinstance(error, exceptions.RedisError | OSError | asyncio.TimeoutError):
            raise errors.StoreUnavailable(
                f"Redis doesn't answer ({str(error) or type(error).__name__}); nothing is lost, try again"
            ) from error


class Scripts:
    """Every atomic step that the store knows, by name."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix
        self._scripts: dict[str, AsyncScript] = {
            name: redis.register_script(source) for name, source in read_sources().items()
        }

    def __iter__(self) -> Iterator[str]:
        return iter(self._scripts)

    async def run(self, name: str, *, client: Redis | None = None, **arguments: Any) -> dict[str, Any]:
        """Run one step. Its answer, or the error that its refusal stands for, or StoreUnavailable."""
        with translated_errors():
            if client is not None:
                # A patient connection waits long for a long step; the quick one tells first whether anybody is there.
                await self._redis.ping()
            reply = await self._scripts[name](keys=[self._prefix], args=[msgspec.json.encode(arguments)], client=client)
        answer: dict[str, Any] = msgspec.json.decode(reply)
        if "refused" in answer:
            raise _REFUSALS[answer["refused"]](answer["why"])
        return answer
