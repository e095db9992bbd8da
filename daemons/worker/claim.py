"""How a worker gets a job: it asks, and waits for the answer, and a lost answer strands nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final

from daemons.client import Client
from daemons.core.errors import NotFound
from daemons.core.models import ClaimedJob, ClaimRequest
from daemons.worker.membership import Membership
from daemons.worker.patience import Contact

WAIT_S: Final = 25.0
"""How long the orchestrator holds a claim open when there is no job."""


class Claims:
    """Asks for jobs. A claim keeps its name until it was answered, so the same job comes again after a lost reply."""

    def __init__(
        self,
        client: Client,
        contact: Contact,
        membership: Membership,
        *,
        wait_s: float = WAIT_S,
        refused: Callable[[], int] = lambda: 0,
    ) -> None:
        """`refused` tells how many results this device keeps because nobody takes them: people are to know."""
        self._client = client
        self._contact = contact
        self._membership = membership
        self._wait_s = wait_s
        self._refused = refused
        self._claim_id = _new_claim_id()

    async def next_job(self) -> ClaimedJob:
        """The next job, however long it takes. Raises WorkerReplaced when another process has this device's place."""
        while True:
            job = await self._contact.insist(self._claim)
            self._claim_id = _new_claim_id()
            if job is not None:
                return job

    async def _claim(self) -> ClaimedJob | None:
        request = ClaimRequest(
            instance_id=self._membership.instance_id, claim_id=self._claim_id, undelivered=self._refused()
        )
        try:
            return await self._client.claim(self._membership.worker_id, request, wait_s=self._wait_s)
        except NotFound:
            await self._membership.join_again()
            return await self._client.claim(self._membership.worker_id, request, wait_s=self._wait_s)


def _new_claim_id() -> str:
    return uuid.uuid4().hex
