"""What handlers reach for, under typed keys of the application."""

from __future__ import annotations

from aiohttp import web

from daemons.core.settings import OrchestratorSettings
from daemons.orchestrator.dispatch import Dispatcher
from daemons.orchestrator.duties import DutyRounds
from daemons.orchestrator.feed import Feed
from daemons.orchestrator.metrics import Metrics
from daemons.orchestrator.modelstore.puller import Puller
from daemons.orchestrator.modelstore.receiving import Receiver
from daemons.orchestrator.modelstore.store import ModelStore
from daemons.orchestrator.reaper import Reaper
from daemons.orchestrator.writer import Writer
from daemons.store import Store

SETTINGS = web.AppKey("settings", OrchestratorSettings)
STORE = web.AppKey("store", Store)
DISPATCHER = web.AppKey("dispatcher", Dispatcher)
REAPER = web.AppKey("reaper", Reaper)
WRITER = web.AppKey("writer", Writer)
DUTIES = web.AppKey("duties", DutyRounds)
FEED = web.AppKey("feed", Feed)
METRICS = web.AppKey("metrics", Metrics)
MODELS = web.AppKey("models", ModelStore)
RECEIVER = web.AppKey("receiver", Receiver)
PULLER = web.AppKey("puller", Puller)
