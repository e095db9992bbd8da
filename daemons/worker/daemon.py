"""The worker daemon: everything wired together in one place, started and stopped in good order."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import structlog

from daemons.client import Client
from daemons.core.errors import ConfigInvalid
from daemons.core.models import DeviceInfo, RegisterRequest
from daemons.core.settings import WorkerSettings
from daemons.runtime.folders import state_folder
from daemons.runtime.locks import FileLock
from daemons.runtime.notify import Notifier
from daemons.runtime.supervise import supervise
from daemons.worker.agent import LAST_DELIVERY_S, RELEASE_TIMEOUT_S, Agent, Uplink
from daemons.worker.attempt import Attempts, Bench
from daemons.worker.deliver import Outbox
from daemons.worker.devicelock import measuring_lock
from daemons.worker.download import Limits
from daemons.worker.identity import device_udid
from daemons.worker.membership import GOODBYE_TIMEOUT_S, Membership, address_towards
from daemons.worker.models import ModelCache
from daemons.worker.patience import Contact

log = structlog.get_logger(__name__)

GB: Final = 10**9
FAREWELL_S: Final = RELEASE_TIMEOUT_S + LAST_DELIVERY_S + GOODBYE_TIMEOUT_S + 1.0
"""What leaving takes at most, after the drain time; the service manager's own limit is longer."""

DeviceLock = Callable[[], AbstractAsyncContextManager[object]]
