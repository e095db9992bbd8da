"""Messages to a web server that a campaign has ended: where they may go, how they are signed, when they are sent again.

The signature is an HMAC of SHA-256 under a secret that sender and receiver share, over the time of sending, a dot, and
the body as it was sent.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Sequence
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

from daemons.core.errors import InvalidInput

DELIVERY: Final = "Benchfleet-Delivery"
"""The header that names a message: the same each time that it is sent."""
TIMESTAMP: Final = "Benchfleet-Timestamp"
"""The header with the time of sending, in whole seconds since 1970, UTC."""
SIGNATURE: Final = "Benchfleet-Signature"
"""The header with one signature for each secret, such as ``v1=0a1b…``, with commas between them."""

ENDED: Final = "campaign.ended"
FIRST_DELAY_S: Final = 10.0
LONGEST_DELAY_S: Final = 3600.0
GIVE_UP_AFTER_S: Final = 86_400.0
MAX_SHOWN: Final = 300

_FIELD: Final = "webhook.url"


def check_webhook(url: str, allowed_hosts: Collection[str]) -> None:
    """InvalidInput, if nothing may be sent to this URL: it says why, and what would allow it."""
    parts = _parsed(url)
    if parts.scheme not in ("http", "https"):
        raise InvalidInput(f"{_FIELD}: must begin with http:// or https://", field=_FIELD)
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(
            f"{_FIELD}: must hold no user name and no password; the signature tells the receiver who sends",
            field=_FIELD,
        )
    objection = host_objection(parts.hostname or "", allowed_hosts)
    if objection is not None:
        raise InvalidInput(f"{_FIELD}: {objection}", field=_FIELD)


def host_objection(host: str, allowed_hosts: Collection[str]) -> str | None:
    """Why nothing is sent to this host, or None."""
    if not allowed_hosts:
        return "this orchestrator sends none; its setting webhooks.allowed_hosts names the hosts that it may send to"
    if host.lower() in {name.lower() for name in allowed_hosts}:
        return None
    return f"nothing is sent to {host[:100]!r}; the orchestrator's setting webhooks.allowed_hosts doesn't name it"


def _parsed(url: str) -> SplitResult:
    try:
        if not url.isprintable() or " " in url:
            raise ValueError("it holds spaces or control characters")  # noqa: TRY301 (one place says what is wrong)
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises for a port that is none)
    except ValueError as error:
        raise InvalidInput(f"{_FIELD}: is not a URL ({error})", field=_FIELD) from error
    return parts


def host_of(url: str) -> str:
    """The host of a URL that `check_webhook` has accepted."""
    return urlsplit(url).hostname or ""


def shown_webhook(url: str) -> str:
    """The URL as it may be shown: without what may be secret in it, its query and fragment."""
    shown = urlunsplit(urlsplit(url)._replace(query="", fragment=""))
    return shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}…"


def signatures(secrets: Sequence[bytes], timestamp: int, body: bytes) -> str:
    """The signature header of a message: while a secret is being changed there are two, and either counts."""
    return ",".join(f"v1={_digest(secret, timestamp, body)}" for secret in secrets)


def is_signed(secret: bytes, header: str, timestamp: int, body: bytes) -> bool:
    """Whether one of a header's signatures was made with the secret."""
    wanted = f"v1={_digest(secret, timestamp, body)}".encode()
    found = [hmac.compare_digest(one.strip().encode(), wanted) for one in header.split(",")]
    return any(found)


def _digest(secret: bytes, timestamp: int, body: bytes) -> str:
    return hmac.new(secret, b"%d." % timestamp + body, hashlib.sha256).hexdigest()


def message(delivery: str, campaign: dict[str, Any], public_url: str | None) -> dict[str, Any]:
    """What is sent: the campaign as the API shows it, and where its results are."""
    path = f"/api/campaigns/{campaign['campaign_id']}/results"
    return {
        "type": ENDED,
        "delivery": delivery,
        "campaign": campaign,
        "results_url": f"{(public_url or '').rstrip('/')}{path}",
    }


def delay_s(attempts: int, age_s: float, jitter: float) -> float | None:
    """How long after the `attempts`-th failure it is sent again; None: never, for it ended `age_s` ago, too long.

    `jitter` is from 0.5 to 1.5: it spreads what failed together.
    """
    if age_s >= GIVE_UP_AFTER_S:
        return None
    return min(FIRST_DELAY_S * 2.0 ** min(attempts - 1, 20), LONGEST_DELAY_S) * jitter
