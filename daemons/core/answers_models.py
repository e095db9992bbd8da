"""What the REST API answers about the models that it keeps. See `answers`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from daemons.core.answers import Count, Cursor, Moment

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class ModelVersion(Struct, frozen=True, kw_only=True):
    """One upload under a name. `model:sha256:…` names it in campaigns, as long as it is kept."""

    sha256: Sha256
    size_bytes: Count
    uploaded_at: Moment
    is_kept: bool
    """Its bytes are still here. Those of older versions go when room is needed and no campaign needs them."""


class Model(Struct, frozen=True, kw_only=True):
    """A name, and the bytes that it points to: those of the newest upload."""

    name: str
    model_url: str
    """What names it in a campaign, such as `model:resnet50.onnx`."""
    sha256: Sha256
    size_bytes: Count
    uploaded_at: Moment
    versions: list[ModelVersion]
    """The newest first."""


class ModelList(Struct, frozen=True, kw_only=True):
    """Models by name, and how much of the room for them is taken."""

    count: Count
    models: list[Model]
    used_bytes: Count
    """By everything: older versions, what was fetched for campaigns, and uploads under way, too."""
    limit_bytes: Count
    next_cursor: Cursor | UnsetType = UNSET
    """There may be more: ask again with it as `cursor`."""


class UploadState(Struct, frozen=True, kw_only=True):
    """How far an upload is."""

    name: str
    offset: Count
    """So many bytes are here: the next one goes on with `Content-Range: bytes OFFSET-LAST/TOTAL`."""
    total_bytes: Count | None
    sha256: Sha256 | None
    """Of the whole, where the upload has said so."""
    began_at: Moment | None
    """null: there is no upload of this name."""
    is_kept: bool
    """The bytes of the `sha256` that was asked for are here already: a `PUT` of no bytes with it names them."""


class DeletedModel(Struct, frozen=True, kw_only=True):
    """What the removal of a name has done."""

    name: str
    deleted: bool
    freed_bytes: Count
    message: str


class CampaignModel(Struct, frozen=True, kw_only=True):
    """Where a worker gets the model of a campaign from."""

    state: Literal["kept", "fetching", "elsewhere"]
    """`kept`: `GET /api/models/sha256/{sha256}` has it. `fetching`: ask again. `elsewhere`: from its own URL."""
    sha256: Sha256 | UnsetType = UNSET
    size_bytes: Count | UnsetType = UNSET
    done_bytes: Count | UnsetType = UNSET
    total_bytes: Count | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    """Why it is not here."""
