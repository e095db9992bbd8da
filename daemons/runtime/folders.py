"""Where a program keeps what must survive a restart, when its configuration doesn't say."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from daemons.core.errors import ConfigInvalid

PRODUCT: Final = "benchfleet"


def state_folder(
    program: str,
    configured: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    platform: str = sys.platform,
) -> Path:
    """The absolute folder of `program`'s state; nothing is made.

    What is `configured` comes first, then $STATE_DIRECTORY (set by systemd's StateDirectory=), then the user's own
    folder as the platform has it: ``$XDG_STATE_HOME/benchfleet/PROGRAM`` or ``~/.local/state/benchfleet/PROGRAM``, on
    macOS ``~/Library/Application Support/benchfleet/PROGRAM``. ConfigInvalid if there is no home either.
    """
    if configured is not None:
        return configured_path(configured, environ)
    # systemd separates several folders by colons; the first is the one that the unit means.
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given).absolute()
    return _user_folder(environ, platform) / PRODUCT / program


def _user_folder(environ: Mapping[str, str], platform: str) -> Path:
    if platform == "darwin":
        return _home(environ) / "Library" / "Application Support"
    xdg = environ.get("XDG_STATE_HOME", "")
    # The XDG specification has relative paths ignored.
    return Path(xdg) if os.path.isabs(xdg) else _home(environ) / ".local" / "state"  # noqa: PTH117 (a string, maybe "")


def configured_path(configured: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The absolute path that a configured one means: relative to the working folder, ``~`` is the home folder."""
    if configured == "~" or configured.startswith("~/"):
        return _home(environ) / configured[2:]
    return Path(configured).absolute()


def _home(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME", "")
    if not os.path.isabs(home):  # noqa: PTH117 (a string, maybe "")
        raise ConfigInvalid(
            "there is no home folder to keep state in ($HOME is not set): set storage.state_dir of the worker or "
            "storage.data_dir of the orchestrator to a folder"
        )
    return Path(home)
