"""Sends the messages that campaigns have ended. The duty takes what is due; sending it keeps no other duty waiting."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import msgspec
import structlog

import daemons
from daemons.core import webhooks as words
from daemons.core.errors import ConfigInvalid, NotFound, StoreUnavailable
from daemons.core.retries import JITTER
from daemons.core.settings import WebhookSettings
from daemons.orchestrator.api.guard import MIN_TOKEN_LENGTH, is_loopback
from daemons.store import Store
from daemons.store.webhooks import DueWebhook
from daemons.transfer.download import cause_of
from daemons.transfer.egress import Gate

log = structlog.get_logger(__name__)

MOST_AT_ONCE: Final = 8
ANSWER_WITHIN_S: Final = 10.0
AGAIN_S: Final = 60.0
"""What is taken and not settled is due again after that; longer than anything that sending may take."""
TELLING_ATTEMPTS: Final = 3
"""So many failures in a row are said in health."""

_GONE: Final = 410

_SETTING: Final = "webhooks.private_addresses"


class _NotTaken(Exception):
    """The receiver has not taken the message. The text says why; `is_final`: it never will."""

    def __init__(self, text: str, *, is_final: bool = False) -> None:
        super().__init__(text)
        self.is_final = is_final


class _Failing(NamedTuple):
    """Why a campaign's message was not taken, several times; and until when that is news."""

    error: str
    until_s: float


def read_secrets(settings: WebhookSettings) -> tuple[bytes, ...]:
    """What messages are signed with, from the file that the settings name. ConfigInvalid says what is wrong with it."""
    if settings.secret_file is None:
        return ()
    path = Path(settings.secret_file).expanduser()
    try:
        secrets, mode = path.read_text("utf-8").split(), path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"webhooks.secret_file: {path} can't be read ({error})") from error
    if mode & 0o077:
        raise ConfigInvalid(
            f"webhooks.secret_file: {path} can be read by others than its owner; run 'chmod 600 {path}'"
        )
    if not secrets or min(map(len, secrets)) < MIN_TOKEN_LENGTH:
        raise ConfigInvalid(
            f"webhooks.secret_file: {path} must hold secrets of at least {MIN_TOKEN_LENGTH} characters, one a line"
        )
    return tuple(secret.encode() for secret in secrets)


class Webhooks:
    """One round begins to send what is due. Two senders at once do no harm: a message names itself alike each time."""

    def __init__(self, store: Store, settings: WebhookSettings, now_s: Callable[[], float] = time.time) -> None:
        self._store = store
        self._settings = settings
        self._now_s = now_s
        self._secrets = read_secrets(settings)
        self._sending: set[asyncio.Task[None]] = set()
        self._failing: dict[str, _Failing] = {}

    @property
    def last_error(self) -> str | None:
        """What keeps messages from their receivers, if it has for a while."""
        now_s = time.monotonic()
        self._failing = {name: one for name, one in self._failing.items() if now_s < one.until_s}
        return next((f"{name}: {one.error}" for name, one in self._failing.items()), None)

    async def round(self) -> None:
        """Begin to send what is due, as far as there are hands free. Raises StoreUnavailable."""
        free = MOST_AT_ONCE - len(self._sending)
        for due in await self._store.webhooks.take(free, AGAIN_S) if free else ():
            task = asyncio.create_task(self._send(due))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def close(self) -> None:
        """Give up what is under way; it is sent again."""
        tasks = list(self._sending)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, due: DueWebhook) -> None:
        """Send a message and note what came of it. One that can't be noted is sent again."""
        try:
            try:
                await self._post(due)
            except _NotTaken as error:
                await self._note_failure(due, error)
            else:
                await self._store.webhooks.delivered(due)
                self._failing.pop(due.campaign_id, None)
                log.info("webhook delivered", campaign=due.campaign_id, host=words.host_of(due.url))
        except (StoreUnavailable, NotFound) as error:
            log.info("webhook not settled", campaign=due.campaign_id, error=str(error))
        except Exception:
            log.exception("webhook not sent", campaign=due.campaign_id)

    async def _note_failure(self, due: DueWebhook, error: _NotTaken) -> None:
        attempts = due.attempts + 1
        jitter = random.uniform(*JITTER)  # noqa: S311 (spreads retries; nothing secret)
        again_s = None if error.is_final else words.delay_s(attempts, due.age_ms / 1000, jitter)
        await self._store.webhooks.failed(due, str(error), again_s)
        if again_s is None:
            self._failing.pop(due.campaign_id, None)
            log.error("webhook given up", campaign=due.campaign_id, attempts=attempts, error=str(error))
            return
        if attempts >= TELLING_ATTEMPTS:
            self._failing[due.campaign_id] = _Failing(str(error), time.monotonic() + again_s + 2 * AGAIN_S)
        log.warning("webhook not taken", campaign=due.campaign_id, attempts=attempts, error=str(error))

    async def _post(self, due: DueWebhook) -> None:
        """Send a message once. _NotTaken, if its receiver doesn't say that it has it."""
        host = words.host_of(due.url)
        objection = words.host_objection(host, self._settings.allowed_hosts)
        if objection is not None:
            raise _NotTaken(objection, is_final=True)
        campaign = await self._store.campaigns.get(due.campaign_id)
        body = msgspec.json.encode(words.message(due.delivery, campaign, self._settings.public_url))
        gate = Gate(
            private_allowed=self._settings.private_addresses, loopback_allowed=is_loopback(host), setting=_SETTING
        )
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        try:
            async with (
                aiohttp.ClientSession(
                    connector=gate.connector(), cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout, trust_env=False
                ) as session,
                session.post(due.url, data=body, headers=self._headers(due, body), allow_redirects=False) as answer,
            ):
                _check(answer.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            if gate.refused is not None:
                raise _NotTaken(f"nothing is sent to {host}: {gate.refused}") from None
            raise _NotTaken(_cause(error)) from None

    def _headers(self, due: DueWebhook, body: bytes) -> dict[str, str]:
        timestamp = int(self._now_s())
        return {
            "Content-Type": "application/json",
            "User-Agent": f"benchfleet/{daemons.__version__}",
            words.DELIVERY: due.delivery,
            words.TIMESTAMP: str(timestamp),
            words.SIGNATURE: words.signatures(self._secrets, timestamp, body),
        }


def _check(status: int) -> None:
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise _NotTaken(f"its receiver answers HTTP {status}; redirects are not followed")
    raise _NotTaken(f"its receiver answers HTTP {status}", is_final=status == _GONE)


def _cause(error: BaseException) -> str:
    """Why there was no answer, without the URL that some of aiohttp's texts hold."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate of {error.host} can't be trusted: {error.certificate_error}"
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"its receiver did not answer within {ANSWER_WITHIN_S:g} s"
    return cause_of(error)
