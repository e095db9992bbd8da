"""The registry of actions as Textual's bindings."""

from __future__ import annotations

from collections.abc import Mapping

from textual.binding import Binding, BindingType

from tui.actions import BY_NAME, actions_of, keys_of


def bindings_of(*contexts: str) -> list[BindingType]:
    """What Textual is to bind on a screen or widget of these contexts. Their ids are the actions' names."""
    return [
        Binding(action.keys, action.name, action.sentence, id=action.name, show=False)
        for action in actions_of(*contexts)
    ]


def keymap_of(changed: Mapping[str, str]) -> dict[str, str]:
    """The keys that a person has changed, as Textual takes them: by id, with nothing between the commas."""
    return {name: ",".join(keys_of(BY_NAME[name], changed)) for name in changed}
