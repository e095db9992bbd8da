"""Campaigns, their jobs and their results."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from daemons.core.errors import NotFound
from daemons.core.models import CampaignRequest, JobSpec, Row, Webhook
from daemons.core.views import campaign_view, history_view, job_view, result_row
from daemons.store.keys import campaign_of, check_campaign_id, check_job_id
from daemons.store.lua import Scripts, translated_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

PORTION: Final = 5000
"""So many jobs are read at a time: other requests are answered in between."""

REMEMBER_KEYS_S: Final = 7 * 24 * 3600
"""How long an `Idempotency-Key` is known."""


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign that was accepted, now or when it was sent before."""

    campaign_id: str
    replayed: bool


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be recorded of a campaign beside its request."""

    pins: Mapping[str, str] = {}
    """Model URL → SHA-256 of the bytes that it is about, as far as they are known."""
    needs: Sequence[str] = ()
    """Hashes of what must be kept until its end."""
    estimate_s: float | None = None
    """Seconds that all of its jobs were expected to take."""


def digest_of(request: CampaignRequest) -> str:
    """What tells a request from others under the same `Idempotency-Key`: all that it says, as it was sent."""
    return hashlib.sha256(msgspec.json.encode(request)).hexdigest()


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


def _other_models(request: CampaignRequest, pins: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the jobs name instead of the campaign's own model, in their order."""
    jobs = Counter(job.model_url for job in request.jobs if job.model_url is not None)
    return [
        {"url": url, "place": place, "jobs": count, "sha256": pins.get(url)}
        for place, (url, count) in enumerate(jobs.items())
    ]


def _webhook(webhook: Webhook) -> str:
    return msgspec.json.encode({"url": webhook.url, "status": "waiting", "attempts": 0}).decode()


def _state(request: CampaignRequest, recorded: Recorded, models: int | None) -> dict[str, str]:
    """The fields of a campaign's hash, as far as it begins with them."""
    fields = {
        "model_url": request.model_url,
        "model_sha256": recorded.pins.get(request.model_url or ""),
        "models": models,
        "credentials": request.credentials,
        "needs": " ".join(recorded.needs) or None,
        "name": request.name,
        "labels": msgspec.json.encode(request.labels).decode() if request.labels else None,
        "estimate_s": recorded.estimate_s,
        "webhook": request.webhook and _webhook(request.webhook),
    }
    return {name: str(value) for name, value in fields.items() if value is not None}


class Campaigns:
    """What is known of campaigns. Every method raises StoreUnavailable when the server doesn't answer."""

    def __init__(self, redis: Redis, patient: Redis, scripts: Scripts, prefix: str) -> None:
        self._redis = redis
        self._patient = patient
        self._scripts = scripts
        self._prefix = prefix

    async def made_with(self, idempotency_key: str, digest: str) -> str | None:
        """The campaign that was made with this key, if there is one; Conflict if it was made of another request."""
        answer = await self._scripts.run("find_submission", idempotency_key=idempotency_key, digest=digest)
        return answer.get("campaign_id")

    async def submit(
        self,
        request: CampaignRequest,
        idempotency_key: str | None = None,
        *,
        digest: str | None = None,
        recorded: Recorded | None = None,
    ) -> Submitted:
        """Accept a campaign whole, in one step: its own model and its jobs, as `core.targeting` has made them.

        The same key and `digest` again name the same campaign; without one it is that of the request. Raises
        InvalidInput for an unknown `worker_id`, Conflict for a key that was used for another request.
        """
        specs, places = _share_specs(request.jobs)
        recorded = recorded or Recorded()
        others = _other_models(request, recorded.pins)
        answer = await self._scripts.run(
            "submit",
            client=self._patient,
            state=_state(request, recorded, models=len(others) + 1 if others else None),
            specs=[msgspec.json.encode(spec).decode() for spec in specs],
            jobs=places,
            models=others,
            idempotency_key=idempotency_key,
            digest=digest or digest_of(request),
            remember_s=REMEMBER_KEYS_S,
        )
        return Submitted(campaign_id=answer["campaign_id"], replayed=answer["replayed"])

    async def get(self, campaign_id: str) -> dict[str, Any]:
        """One campaign's view, or NotFound."""
        return campaign_view(await self._state(campaign_id))

    async def specs(self, campaign_id: str) -> list[tuple[str, JobSpec]]:
        """The status and the spec of each job of a campaign, in their order; none of a campaign that is not there."""
        with translated_errors():
            texts: Any = await self._redis.hgetall(f"{self._campaign_key(check_campaign_id(campaign_id))}:specs")
        specs = {index: msgspec.json.decode(text, type=JobSpec) for index, text in texts.items()}
        found: list[tuple[str, JobSpec]] = []
        position, count = 0, PORTION
        while count == PORTION:
            answer = await self._scripts.run("job_states", campaign_id=campaign_id, start=position, limit=PORTION)
            jobs = list(zip(answer.get("statuses", []), answer.get("specs", []), strict=True))
            found.extend((status, specs[spec]) for status, spec in jobs if spec in specs)  # it may go meanwhile
            position, count = position + len(jobs), len(jobs)
        return found

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
