"""Devices by what people call them: commands take a worker's identifier or its device's name."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from daemons.core.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from daemons.client import Client

_IDENTIFIER = re.compile(r"worker-[0-9a-f]{1,32}")


async def worker_id_of(client: Client, name: str) -> str:
    """The identifier of the device that is called so. NotFound guesses, InvalidInput lists those of one name."""
    if _IDENTIFIER.fullmatch(name):
        return name
    found: dict[str, list[str]] = {}
    async for worker in client.iter_workers():
        found.setdefault(worker.device_name, []).append(worker.worker_id)
    match found.get(name, []):
        case [only]:
            return only
        case []:
            close = difflib.get_close_matches(name, found, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "`benchfleet workers` lists those that there are"
            raise NotFound(f"there is no device {name!r}; {hint}")
        case several:
            raise InvalidInput(f"several devices are called {name!r}: name one of {', '.join(several)}")
