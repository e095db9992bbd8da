"""Models that the orchestrator keeps: uploaded, listed, downloaded, removed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from msgspec import UnsetType

from daemons.client import modelfiles
from daemons.client.address import segment
from daemons.client.connection import Connection, Document
from daemons.client.modelfiles import Progress
from daemons.client.paging import all_of
from daemons.core import answers_models


class Models(Connection):
    """Requests about models."""

    async def models(self, *, limit: int | None = None, cursor: str | None = None) -> Document:
        """One page of the models that the orchestrator keeps, by name; with `next_cursor` where there are more."""
        return await self._get("models", {"limit": limit, "cursor": cursor})

    def iter_models(self) -> AsyncIterator[answers_models.Model]:
        """All models by name, however many pages they take."""

        async def page(cursor: str | None) -> tuple[list[answers_models.Model], str | UnsetType]:
            found = self._decode(await self._send("GET", "models", query={"cursor": cursor}), answers_models.ModelList)
            return found.models, found.next_cursor

        return all_of(page)

    async def upload_model(
        self, path: str | Path, name: str | None = None, on_progress: Progress | None = None
    ) -> Document:
        """Upload a file as the model `name` (None: the file's own): the model as it is kept then.

        What breaks off goes on where it ended. `on_progress` is told how many bytes are sent, of how many. Raises
        OSError if the file can't be read.
        """
        return await modelfiles.upload(self, Path(path), name, on_progress or _ignore)

    async def upload_state(self, name: str, size_bytes: int, sha256: str) -> Document:
        """How far the upload of a model is, and whether its bytes are kept already; NoRoom if they won't fit."""
        return await self._get(f"models/{segment(name)}/upload", {"size_bytes": size_bytes, "sha256": sha256})

    async def download_model(self, name: str, path: str | Path, on_progress: Progress | None = None) -> None:
        """Have a model in the file at `path`, whole, or leave what is there alone. OSError if it can't be written."""
        await modelfiles.download(self, name, Path(path), on_progress or _ignore)

    async def download_model_by_sha256(
        self, sha256: str, path: str | Path, on_progress: Progress | None = None
    ) -> None:
        """Have the bytes of that hash in the file at `path`, whole, or leave what is there alone."""
        await modelfiles.download_by_sha256(self, sha256, Path(path), on_progress or _ignore)

    async def delete_model(self, name: str) -> Document:
        """Forget a model's name, and remove what nothing else needs of it."""
        return await self._delete(f"models/{segment(name)}", {"name": name, "deleted": True, "freed_bytes": None})


def _ignore(_done: int, _total: int) -> None:
    """Nobody wants to know."""
