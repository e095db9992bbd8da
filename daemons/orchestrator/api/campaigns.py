"""Campaigns: listed, shown, cancelled, tried again, deleted. new ones are made in `orchestrator.submitting`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final, Literal

from aiohttp import web
from msgspec import Meta, Struct

from daemons.core import answers
from daemons.core.lifecycle import CampaignStatus
from daemons.core.models import CampaignRequest
from daemons.core.naming import Title
from daemons.core.views import model_view
from daemons.core.webhooks import check_webhook
from daemons.orchestrator import submitting
from daemons.orchestrator.api import examples
from daemons.orchestrator.api.bodies import json_response, listing, read_json
from daemons.orchestrator.api.context import DUTIES, MODELS, SETTINGS, STORE, WRITER
from daemons.orchestrator.api.parameters import headers_of, query_of
from daemons.orchestrator.api.routes import LOOK, OPERATE, Content, Route
from daemons.store.lists import CampaignFilter

MAX_LISTED: Final = 1000
MAX_KEY_LENGTH: Final = 200
_KEY_ALLOWED: Final = f"1 to {MAX_KEY_LENGTH} printable ASCII characters"

Label = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}=[^\x00-\x1f\x7f-\x9f]{0,200}(?!\n)$",
        extra={"allowed": "a label as key=value, such as `branch=main`"},
    ),
]


class SubmitHeaders(Struct, frozen=True, rename={"idempotency_key": "Idempotency-Key"}):
    """What may stand beside a campaign."""

    idempotency_key: (
        Annotated[str, Meta(pattern=f"^[ -~]{{1,{MAX_KEY_LENGTH}}}$", extra={"allowed": _KEY_ALLOWED})] | None
    ) = None
    """The same key and campaign again, within a week, name the campaign that was made the first time."""


class CampaignsQuery(Struct, frozen=True):
    """Which campaigns are listed."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LISTED)] = MAX_LISTED
    """How many at most."""
    cursor: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """Where to go on: `next_cursor` of the answer before."""
    status: CampaignStatus | None = None
    """Those of this status alone."""
    kind: Literal["benchmark", "health", "all"] = "benchmark"
    """What people submit, checkups of devices, or both."""
    name: Title | None = None
    """Those alone that are called so."""
    label: Annotated[list[Label], Meta(max_length=50)] = []
    """Those alone that have this label, as `key=value`; it may be given several times, for all of them."""


async def submit(request: web.Request) -> web.Response:
    """Make a campaign: accepted whole and durably before this answers, or not at all.

    Its jobs are those that it lists and those of its matrix. Which devices `devices` means is settled now. The same
    `Idempotency-Key` and campaign again are answered with the jobs that were made the first time, as they are now.
    """
    key = headers_of(request, SubmitHeaders).idempotency_key
    wanted = await read_json(request, CampaignRequest)
    if wanted.webhook is not None:
        check_webhook(wanted.webhook.url, request.app[SETTINGS].webhooks.allowed_hosts)
    answer = await submitting.accept(request.app[STORE], request.app[MODELS], wanted, key)
    return json_response(answer, HTTPStatus.CREATED, Location=f"/api/campaigns/{answer.campaign_id}")


async def list_campaigns(request: web.Request) -> web.Response:
    """Campaigns, the newest first; `next_cursor` leads on when there are more."""
    query = query_of(request, CampaignsQuery)
    labels = tuple((key, value) for key, _, value in (label.partition("=") for label in query.label))
    wanted = CampaignFilter(kind=query.kind, status=query.status, name=query.name, labels=labels)
    since = await request.app[STORE].events.position()
    return listing("campaigns", await request.app[STORE].lists.campaigns(wanted, query.limit, query.cursor), since)


async def show(request: web.Request) -> web.Response:
    """One campaign, how far its jobs are, and the models that it is about."""
    campaign_id, store = request.match_info["campaign_id"], request.app[STORE]
    campaign = await store.campaigns.get(campaign_id)
    models = [model_view(model.url, model.sha256, model.jobs) for model in await store.models.all(campaign_id)]
    return json_response(campaign | {"models": models})


async def cancel(request: web.Request) -> web.Response:
    """Cancel what has not ended: waiting jobs at once, running ones as soon as their workers hear of it."""
    campaign_id = request.match_info["campaign_id"]
    outcome = await request.app[STORE].campaigns.cancel(campaign_id)
    request.app[DUTIES].poke()
    message = f"{outcome['cancelled']} waiting jobs cancelled; {outcome['stopping']} running ones are told to stop"
    return json_response({"campaign_id": campaign_id, **outcome, "message": message})


async def retry(request: web.Request) -> web.Response:
    """Open the failed jobs of a campaign again. Their rows are replaced when they end."""
    campaign_id = request.match_info["campaign_id"]
    outcome = await request.app[STORE].campaigns.retry(campaign_id)
    message = f"{outcome['retried']} failed jobs are open again"
    return json_response({"campaign_id": campaign_id, **outcome, "message": message})


async def delete(request: web.Request) -> web.Response:
    """Forget a campaign that has ended, with its jobs and samples. Its CSV file stays, and answers for its results."""
    campaign_id, store = request.match_info["campaign_id"], request.app[STORE]
    await request.app[WRITER].flush()
    jobs = await store.campaigns.delete(campaign_id)
    has_more = True
    while has_more:
        _, has_more = await store.campaigns.forget_old(None)
    message = f"the campaign and its {jobs} jobs are forgotten; CSV files stay"
    return json_response({"campaign_id": campaign_id, "deleted": True, "jobs": jobs, "message": message})


ROUTES: Final = (
    Route(
        "POST",
        "/api/campaigns",
        submit,
        OPERATE,
        "Submit a campaign",
        answers={
            201: Content(
                type=answers.SubmittedCampaign,
                headers={"Location": "The campaign."},
                example=examples.SUBMITTED_CAMPAIGN,
            )
        },
        headers=SubmitHeaders,
        body=Content(type=CampaignRequest, example=examples.CAMPAIGN_REQUEST),
        refusals=(HTTPStatus.CONFLICT,),
    ),
    Route(
        "GET",
        "/api/campaigns",
        list_campaigns,
        LOOK,
        "List campaigns",
        answers={200: answers.CampaignList},
        query=CampaignsQuery,
    ),
    Route(
        "GET",
        "/api/campaigns/{campaign_id}",
        show,
        LOOK,
        "Show a campaign",
        answers={200: Content(type=answers.CampaignWithModels, example=examples.CAMPAIGN)},
    ),
    Route(
        "POST",
        "/api/campaigns/{campaign_id}/cancel",
        cancel,
        OPERATE,
        "Cancel a campaign",
        answers={200: answers.CancelledCampaign},
    ),
    Route(
        "POST",
        "/api/campaigns/{campaign_id}/retry",
        retry,
        OPERATE,
        "Retry what has failed",
        answers={200: answers.RetriedCampaign},
        refusals=(HTTPStatus.CONFLICT,),
    ),
    Route(
        "DELETE",
        "/api/campaigns/{campaign_id}",
        delete,
        OPERATE,
        "Delete a campaign",
        answers={200: answers.DeletedCampaign},
        refusals=(HTTPStatus.CONFLICT,),
    ),
)
