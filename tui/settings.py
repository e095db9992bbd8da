"""What `config/tui.yaml` can say. The keys are those of the registry of actions: none is written down twice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from daemons.core.settings import OrchestratorSettings, WorkerSettings, section_keys
from daemons.runtime.config import CONFIG_VARIABLE, load_settings
from tui.actions import ACTIONS, clashes

Theme = Literal[
    "textual-dark",
    "textual-light",
    "ansi-dark",
    "ansi-light",
    "nord",
    "gruvbox",
    "dracula",
    "tokyo-night",
    "monokai",
    "solarized-dark",
    "solarized-light",
    "catppuccin-mocha",
    "catppuccin-latte",
]

KEYS_PATTERN: Final = r"^[A-Za-z0-9_+]+( *, *[A-Za-z0-9_+]+)*$"


class DisplaySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the dashboard looks."""

    theme: Theme = "textual-dark"
    """Its colours. `ansi-dark` and `ansi-light` keep the terminal's own. With NO_COLOR set there are none."""


def _check(keys: Any) -> None:
    found = next(iter(clashes(msgspec.structs.asdict(keys))), None)
    if found:
        raise ValueError(f"one key can't do two things: {found}")


def _key_field(keys: str, sentence: str) -> tuple[Any, Any]:
    allowed = "keys as Textual spells them, separated by commas, such as `d` or `ctrl+d,delete`"
    meta = Meta(pattern=KEYS_PATTERN, max_length=100, description=f"{sentence}.", extra={"allowed": allowed})
    return Annotated[str, meta], keys


KeySettings: Final = msgspec.defstruct(
    "KeySettings",
    [(action.name, *_key_field(action.keys, action.sentence)) for action in ACTIONS],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    module=__name__,
    namespace={"__doc__": "Which keys do what.", "__post_init__": _check},
)

TuiSettings: Final = msgspec.defstruct(
    "TuiSettings",
    [("display", DisplaySettings, DisplaySettings()), ("keys", KeySettings, KeySettings())],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    module=__name__,
    namespace={"__doc__": "Everything that `tui.yaml` can say."},
)


class Preferences(Struct, frozen=True, kw_only=True):
    """What the settings mean to the program."""

    theme: str = "textual-dark"
    keymap: dict[str, str] = {}
    """Action → its keys, for those that were changed."""


def preferences_of(settings: Any) -> Preferences:
    """The preferences in an instance of `TuiSettings`."""
    keys = msgspec.structs.asdict(settings.keys)
    changed = {action.name: keys[action.name] for action in ACTIONS if keys[action.name] != action.keys}
    return Preferences(theme=settings.display.theme, keymap=changed)


def load_preferences(path: Path | None, environ: Mapping[str, str] = os.environ) -> Preferences:
    """From `path`, else the file that the usual folders have. ConfigInvalid names every mistake.

    $BENCHFLEET_CONFIG is for the daemons that may run beside it.
    """
    known = section_keys(OrchestratorSettings, WorkerSettings)
    own = {name: value for name, value in environ.items() if name != CONFIG_VARIABLE}
    return preferences_of(load_settings(TuiSettings, "tui", path, known_keys=known, environ=own))
