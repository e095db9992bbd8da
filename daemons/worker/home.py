"""Models that come from the worker's own orchestrator, over the connection that the worker has with it anyway.

Its token goes nowhere else: no redirect is followed, and no other address is asked. Whether an address may be fetched
from is no question here; the worker's owner has named this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import aiohttp
import structlog

from daemons.core.answers_models import CampaignModel
from daemons.core.errors import BenchfleetError, NotFound, Unavailable
from daemons.transfer.download import Advance, Fetched, Limits, NotFetched, Unreachable, cause_of, receive
from daemons.transfer.partial import Partial, Validators

log = structlog.get_logger(__name__)

WAIT_S: Final = 20.0
"""So long the orchestrator may think about an answer while it is fetching."""
PATIENCE_S: Final = 10.0
"""An orchestrator that gives no answer for so long is passed by, where there is another way."""
PAUSE_S: Final = 0.5

_WHAT: Final = "the model"


class NotAtHome(NotFetched):
    """The orchestrator doesn't have it. The text says what it says."""


class Asked(Protocol):
    """What is asked of the client."""

    async def campaign_model(
        self, campaign_id: str, *, wait_s: float = 20.0, job_id: str | None = None
    ) -> CampaignModel:
        """Where the model of a campaign's job is to be had from."""

    def stream(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """An answer whose body is read bit by bit."""


class Home:
    """The orchestrator as a source of models."""

    def __init__(self, client: Asked) -> None:
        self._client = client

    async def where_is(self, campaign_id: str, advance: Advance, job_id: str | None = None) -> str | None:
        """The hash under which the orchestrator keeps the model of a campaign's job, once it does; None if it won't.

        It may be fetching meanwhile, and `advance` is told how far it is.
        """
        clock = asyncio.get_running_loop().time
        give_up_s = clock() + PATIENCE_S
        while True:
            try:
                found = await self._client.campaign_model(campaign_id, wait_s=WAIT_S, job_id=job_id)
            except Unavailable as error:
                if clock() > give_up_s:
                    _note_passed_by(campaign_id, str(error))
                    return None
                await asyncio.sleep(PAUSE_S)
                continue
            except BenchfleetError as error:
                _note_passed_by(campaign_id, str(error))
                return None
            if found.state == "elsewhere":
                _note_passed_by(campaign_id, str(found.reason or "it gives no reason"))
                return None
            if found.state == "kept":
                return found.sha256 or None
            advance(found.done_bytes or 0, found.total_bytes or None)
            give_up_s = clock() + PATIENCE_S

    async def fetch(self, sha256: str, partial: Partial, limits: Limits, advance: Advance) -> Fetched:
        """The content of this hash, in `partial`, whose bytes it goes on from.

        Raises NotAtHome if the orchestrator doesn't keep it, NotFetched if its copy is damaged or too large, and
        Unreachable for what may pass.
        """
        try:
            async with self._client.stream("GET", f"models/sha256/{sha256}", headers=partial.headers()) as answer:
                if answer.status != 206:
                    partial.begin(Validators(), f'"{sha256}"', answer.content_length)
                elif not partial.goes_on(answer.headers):
                    partial.begin(Validators(), None, None)
                    raise Unreachable("the orchestrator sent another part of the model than was asked for")
                await receive(answer, partial, limits, advance, _WHAT)
        except NotFound as error:
            raise NotAtHome(f"the orchestrator no longer keeps this model: {error}") from error
        except Unavailable as error:
            raise Unreachable(f"{_WHAT} could not be fetched: {error}") from error
        except BenchfleetError as error:
            raise NotAtHome(f"the orchestrator refuses to give {_WHAT}: {error}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"{_WHAT} could not be fetched from the orchestrator: {cause_of(error)}") from None
        if partial.sha256 != sha256:
            raise NotFetched(
                f"the orchestrator's copy of {_WHAT} is damaged: its SHA-256 is {partial.sha256}, and must be {sha256}"
            )
        return Fetched(sha256=sha256, size_bytes=partial.size_bytes, validators=Validators())


def _note_passed_by(campaign_id: str, reason: str) -> None:
    log.info("model is not had from the orchestrator", campaign=campaign_id, reason=reason)
