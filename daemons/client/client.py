"""The REST client of the worker, the command line, the dashboard and of scripts: everything that the API offers."""

from __future__ import annotations

from daemons.client.agents import Agents
from daemons.client.campaign import Campaign
from daemons.client.campaigns import Campaigns
from daemons.client.events import Events
from daemons.client.fleet import Fleet
from daemons.client.jobs import Jobs
from daemons.client.models import Models
from daemons.client.results import Results
from daemons.client.system import System


class Client(Campaigns, Jobs, Results, Models, Fleet, Events, System, Agents):
    """A connection to one orchestrator, used as ``async with Client(url) as client``.

    `url` is the server's address without ``/api``; `token_file` holds the bearer token, and is read again when the
    orchestrator refuses it. A request that does no harm when it is made twice is made again for `patience_s` while the
    orchestrator is away or busy; any other one only if it can't have arrived. Every method raises the error of
    `daemons.core.errors` that the server named, with the server's own sentence, or OrchestratorUnavailable when there
    is no usable answer.
    """

    def campaign_of(self, campaign_id: str) -> Campaign:
        """A handle to follow a campaign with, to wait for it, and to have its results."""
        return Campaign(self, campaign_id)
