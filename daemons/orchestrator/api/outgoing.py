"""What the orchestrator asks of others, for the API's document: the message that a campaign has ended."""

from __future__ import annotations

from typing import Any, Final

from daemons.core.answers import CampaignEnded
from daemons.core.webhooks import DELIVERY, SIGNATURE, TIMESTAMP
from daemons.orchestrator.api.routes import JSON
from daemons.orchestrator.api.schemas import Schemas

TYPES: Final = (CampaignEnded,)

_HEADERS: Final = {
    DELIVERY: "Names the message: the same each time that it is sent.",
    TIMESTAMP: "When it was sent, in whole seconds since 1970, UTC.",
    SIGNATURE: "`v1=` and the HMAC of SHA-256, in hexadecimal digits, of the timestamp, a dot and the body; one for "
    "each secret, with commas between them.",
}


def webhooks(schemas: Schemas) -> dict[str, Any]:
    """The document's webhooks, by name."""
    post = {
        "summary": "A campaign has ended",
        "description": "Sent to the URL of the campaign's `webhook`, once its results are on disk; again for up to a "
        "day until it is taken.",
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
            for name, text in _HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {JSON: {"schema": schemas.of(CampaignEnded)}}},
        "responses": {
            "2XX": {"description": "It was taken."},
            "410": {"description": "It is not wanted any more, and not sent again."},
        },
    }
    return {"campaignEnded": {"post": post}}
