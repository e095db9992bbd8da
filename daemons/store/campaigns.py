"""Campaigns, their jobs and their results."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from daemons.core.errors import NotFound
from daemons.core.models import CampaignRequest, JobSpec, Row
from daemons.core.views import campaign_view, history_view, job_view, result_row
from daemons.store.keys import campaign_of, check_campaign_id, check_job_id
from daemons.store.lua import Scripts, translated_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

REMEMBER_KEYS_S: Final = 7 * 24 * 3600
"""How long an `Idempotency-Key` is known."""


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted campaign. `unserved` pairs a spec that nobody could take now with the reason's code."""

    campaign_id: str
    replayed: bool
    unserved: list[tuple[JobSpec, str]]


def _share_specs(jobs: list[JobSpec]) -> tuple[list[JobSpec], list[int]]:
    """The different specs among `jobs`, and each job's index into them."""
    known: dict[bytes, int] = {}
    specs: list[JobSpec] = []
    places = []
    for job in jobs:
        place = known.setdefault(msgspec.json.encode(job), len(specs))
        if place == len(specs):
            specs.append(job)
        places.append(place)
    return specs, places


class Campaigns:
    """What is known of campaigns. Every method raises StoreUnavailable when the server doesn't answer."""

    def __init__(self, redis: Redis, patient: Redis, scripts: Scripts, prefix: str) -> None:
        self._redis = redis
        self._patient = patient
        self._scripts = scripts
        self._prefix = prefix

    async def submit(
        self,
        request: CampaignRequest,
        idempotency_key: str | None = None,
        *,
        as_sent: CampaignRequest | None = None,
        model_sha256: str | None = None,
        needs: Sequence[str] = (),
    ) -> Submitted:
        """Accept a campaign whole, in one step. The same key and request again name the same campaign.

        `as_sent` is the request that counts for that, where it was made more precise since. `model_sha256` are the
        bytes that the campaign is about, if they are known; `needs` are hashes of what must be kept until its end.
        Raises InvalidInput for an unknown `worker_id`, Conflict for a key that was used for another request.
        """
        specs, places = _share_specs(request.jobs)
        answer = await self._scripts.run(
            "submit",
            client=self._patient,
            model_url=request.model_url,
            credentials=request.credentials,
            specs=[msgspec.json.encode(spec).decode() for spec in specs],
            jobs=places,
            idempotency_key=idempotency_key,
            digest=hashlib.sha256(msgspec.json.encode(as_sent or request)).hexdigest(),
            model_sha256=model_sha256,
            needs=" ".join(needs) or None,
            remember_s=REMEMBER_KEYS_S,
        )
        unserved = [(specs[item["spec"]], item["problem"]) for item in answer.get("unserved") or []]
        return Submitted(campaign_id=answer["campaign_id"], replayed=answer["replayed"], unserved=unserved)

    async def get(self, campaign_id: str) -> dict[str, Any]:
        """One campaign's view, or NotFound."""
        return campaign_view(await self._state(campaign_id))

    async def cancel(self, campaign_id: str) -> dict[str, Any]:
        """Cancel what has not ended: ``{status, cancelled, stopping}``, or NotFound."""
        return await self._scripts.run(
            "cancel_campaign", client=self._patient, campaign_id=check_campaign_id(campaign_id)
        )

    async def retry(self, campaign_id: str) -> dict[str, Any]:
        """Open what has failed again: ``{status, retried}``, or NotFound."""
        return await self._scripts.run("retry", client=self._patient, campaign_id=check_campaign_id(campaign_id))

    async def retry_job(self, job_id: str) -> dict[str, Any]:
        """Open one failed job again: its campaign's ``status``, and how many were ``retried``; or NotFound."""
        return await self._scripts.run("retry", campaign_id=campaign_of(job_id), job_id=job_id)

    async def delete(self, campaign_id: str) -> int:
        """Forget a campaign that has ended and whose file is written; how many jobs it had.

        Raises NotFound, or Conflict if it is not to be forgotten now. `forget_old` removes its jobs.
        """
        answer = await self._scripts.run("delete_campaign", campaign_id=check_campaign_id(campaign_id))
        return int(answer["jobs"])

    async def forget_old(self, keep_s: float | None, limit: int = 5000) -> tuple[int, bool]:
        """Forget campaigns that ended longer ago and whose file is written: how many, and whether there is more to do.

        None forgets no other than those that were deleted. At most `limit` jobs are removed at a time.
        """
        keep_ms = None if keep_s is None else keep_s * 1000
        answer = await self._scripts.run("forget_old", keep_ms=keep_ms, limit=limit)
        return int(answer["campaigns"]), bool(answer["more"])

    async def cancel_job(self, job_id: str) -> dict[str, Any]:
        """Cancel one job, at once or as soon as its worker hears of it: ``{status, stopping}``, or NotFound."""
        return await self._scripts.run("cancel_job", job_id=check_job_id(job_id))

    async def job(self, job_id: str) -> tuple[dict[str, Any], Row | None]:
        """A job's view with its history, and its result row if it has ended; or NotFound."""
        campaign_id = campaign_of(job_id)
        key = f"{self._prefix}job:{job_id}"
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.hgetall(key)
            pipeline.hgetall(self._campaign_key(campaign_id))
            pipeline.hgetall(f"{self._campaign_key(campaign_id)}:specs")
            pipeline.lrange(f"{key}:history", 0, -1)
            pipeline.get(f"{key}:evidence")
            state, campaign, specs, history, evidence = await pipeline.execute()
        if not state or not campaign:
            raise NotFound(f"there is no job {job_id}; GET /api/campaigns/{campaign_id} tells of its campaign")
        spec = msgspec.json.decode(specs[state["spec"]], type=JobSpec)
        kind = {"kind": campaign["kind"]} if "kind" in campaign else {}
        view = job_view(job_id, campaign_id, state | kind, spec)
        view["history"] = [history_view(msgspec.json.decode(entry)) for entry in history]
        row = result_row(job_id, state, spec, campaign)
        if row is not None and evidence:
            row |= msgspec.json.decode(evidence)
        return view, row

    async def _state(self, campaign_id: str) -> dict[str, str]:
        with translated_errors():
            state: Any = await self._redis.hgetall(self._campaign_key(check_campaign_id(campaign_id)))
        if not state:
            raise NotFound(f"there is no campaign {campaign_id}; GET /api/campaigns lists them")
        return dict(state)

    def _campaign_key(self, campaign_id: str) -> str:
        return f"{self._prefix}campaign:{campaign_id}"
