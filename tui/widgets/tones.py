"""Tones as styles, from the theme's colours: made once for a theme, not for each widget that speaks in them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from rich.style import Style
from textual.app import App
from textual.color import Color

_COLOURS: Final = {
    "good": "text-success",
    "busy": "text-accent",
    "warn": "text-warning",
    "bad": "text-error",
    "key": "accent",
}
_FORMS: Final = {
    "bad": Style(bold=True),
    "key": Style(bold=True),
    "title": Style(bold=True),
    "here": Style(bold=True, reverse=True),
    "head": Style(bold=True, underline=True),
    "marked": Style(bold=True),
    "cursor": Style(bold=True),
    "dim": Style(dim=True),
}
CURSOR_SHARE: Final = 0.4
"""How much of the theme's primary colour is in the background of the row that the cursor is on."""


def tones_of(app: App[object]) -> Mapping[str, Style]:
    """Tone → style, in the theme that the program has now."""
    variables = app.theme_variables
    names = (*_COLOURS.values(), "primary", "background")
    return _tones(tuple((name, variables[name]) for name in names))


@lru_cache(maxsize=8)
def _tones(variables: tuple[tuple[str, str], ...]) -> Mapping[str, Style]:
    colours = {name: Color.parse(value.split()[0]) for name, value in variables}
    styles = dict(_FORMS)
    for tone, name in _COLOURS.items():
        styles[tone] = Style(color=colours[name].rich_color) + _FORMS.get(tone, Style())
    primary, background = colours["primary"], colours["background"]
    behind = primary if primary.ansi is not None else background.blend(primary, CURSOR_SHARE)
    styles["cursor"] += Style(bgcolor=behind.rich_color)
    return styles
