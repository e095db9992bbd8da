"""A local model on its way to the orchestrator, as commands send it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from daemons.cli.packing import as_one_file
from daemons.cli.transfers import showing_transfer, size
from daemons.core.urls import KeptModel, name_to_keep

if TYPE_CHECKING:
    from daemons.client import Client


class Sent(NamedTuple):
    """A model that is kept now."""

    model: dict[str, Any]
    was_there: bool
    """Its bytes were kept already, and none were sent."""

    @property
    def told(self) -> str:
        """What has become of it, in words."""
        count = size(self.model["size_bytes"])
        return f"{count}, kept already" if self.was_there else f"{count} uploaded"

    @property
    def exact_url(self) -> str:
        """What names these very bytes, whatever the name means later."""
        return KeptModel(self.model["name"], self.model["sha256"]).url


async def upload(client: Client, path: Path, name: str | None = None) -> Sent:
    """Keep the model under `name`, by default its own, as one file. OSError if it can't be read."""
    sent_bytes: list[int] = []
    with as_one_file(path) as file, showing_transfer(file.name) as show:

        def on_progress(done: int, total: int) -> None:
            sent_bytes.append(done)
            show(done, total)

        model = await client.upload_model(file, name or kept_name(file), on_progress)
    return Sent(model, was_there=len(sent_bytes) <= 1)


def kept_name(path: Path) -> str:
    """What a file is kept as: its own name, with a dash for what can't be in one."""
    return name_to_keep(path.name)
