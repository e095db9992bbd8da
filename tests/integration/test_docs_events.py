"""The examples of docs/events.md, run as they stand."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from pathlib import Path

import pytest
import yaml

from daemons.core import webhooks
from daemons.core.events import EventType
from daemons.core.settings import WebhookSettings

PAGE = (Path(__file__).parents[2] / "docs/events.md").read_text()


def examples(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


async def run(example, **variables):
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euc", example),
        env=os.environ | {"NO_PROXY": "*"} | variables,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, example
    return out.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
async def test_the_requests_do_what_the_page_says(api, store):
    begin = await store.events.position()
    await api.submit()
    first, again, metrics = [await run(example, API=f"{api.url}/api", LAST=str(begin)) for example in examples("sh")]
    assert first.startswith("event: ready\nid: ")
    assert [line for line in again.splitlines() if line.startswith("event")] == ["event: ready", "event: campaign"]
    assert "benchfleet_store_up 1.0" in metrics
    for name in re.findall(r"^\| `(benchfleet_\w+)", PAGE, re.MULTILINE):
        assert f"# HELP {name.removesuffix('_total')}" in metrics, name


def test_every_type_of_event_is_in_the_table():
    table = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(table))) >= set(EventType)


def test_a_receiver_takes_what_is_signed_and_nothing_else():
    (code,) = examples("python")
    receiver = {}
    exec(code, receiver)
    secret, body, now = b"a-secret-of-the-webhooks", b'{"type":"campaign.ended"}', int(time.time())

    def sent(timestamp, *secrets, changed=b""):
        headers = {
            webhooks.TIMESTAMP: str(timestamp),
            webhooks.SIGNATURE: webhooks.signatures(secrets, timestamp, body),
        }
        return receiver["is_genuine"](headers, body + changed, secret)

    assert sent(now, secret)
    assert sent(now, b"another-secret-of-webhooks", secret)
    assert not sent(now, b"another-secret-of-webhooks")
    assert not sent(now, secret, changed=b" ")
    assert not sent(now - 3600, secret)


def test_the_configuration_is_one():
    (configuration, *_) = (yaml.safe_load(example) for example in examples("yaml"))
    settings = WebhookSettings(**configuration["webhooks"])
    webhooks.check_webhook("https://ci.example.org/benchmarks", settings.allowed_hosts)
