"""Where state lives when nobody has said so."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemons.core.errors import ConfigInvalid
from daemons.runtime.folders import state_folder

HOME = {"HOME": "/home/anna"}


@pytest.mark.parametrize(
    ("configured", "environ", "platform", "expected"),
    [
        (None, HOME, "linux", "/home/anna/.local/state/benchfleet/worker"),
        (None, {**HOME, "XDG_STATE_HOME": "/xdg"}, "linux", "/xdg/benchfleet/worker"),
        (None, {**HOME, "XDG_STATE_HOME": "not/absolute"}, "linux", "/home/anna/.local/state/benchfleet/worker"),
        (None, HOME, "darwin", "/home/anna/Library/Application Support/benchfleet/worker"),
        (None, {"STATE_DIRECTORY": "/var/lib/b/worker"}, "linux", "/var/lib/b/worker"),
        (None, {**HOME, "STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "linux", "/var/lib/a"),
        (None, {**HOME, "STATE_DIRECTORY": "/Library/b"}, "darwin", "/Library/b"),
        ("/srv/b", {"STATE_DIRECTORY": "/var/lib/b"}, "linux", "/srv/b"),
        ("~/b", HOME, "linux", "/home/anna/b"),
        ("~", HOME, "darwin", "/home/anna"),
        ("b", {}, "linux", str(Path.cwd() / "b")),
    ],
)
def test_the_folder_is_the_first_that_somebody_named(configured, environ, platform, expected):
    assert state_folder("worker", configured, environ=environ, platform=platform) == Path(expected)


@pytest.mark.parametrize("configured", [None, "~/b"])
@pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "relative"}])
def test_without_a_home_it_must_be_configured(configured, environ):
    with pytest.raises(ConfigInvalid, match=r"set storage\.state_dir"):
        state_folder("worker", configured, environ=environ, platform="linux")
