"""The client of the REST API, for the worker, the command line, the dashboard and scripts.

::

    async with Client("http://localhost:5000") as client:
        submitted = await client.submit({"model_url": url, "jobs": [{"compute_unit": "CPU (ONNX)"}]})
        campaign = client.campaign_of(submitted["campaign_id"])
        async for event in campaign.follow():
            print(event.type, event.state)
        records = await campaign.results()

It knows addresses, bodies and errors of the API, and nothing of who asks: one module a subject, all over the one
connection in `connection`. What a person reads comes back as plain documents; what a worker acts on, and what lists
yield one by one, comes back typed. `SyncClient` is the same without ``await``.
"""

from __future__ import annotations

from daemons.client.campaign import Campaign
from daemons.client.client import Client
from daemons.client.connection import Document
from daemons.client.results import Record
from daemons.client.sync import SyncCampaign, SyncClient
from daemons.core.events import Event

__all__ = ["Campaign", "Client", "Document", "Event", "Record", "SyncCampaign", "SyncClient"]
