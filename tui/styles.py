"""How the dashboard looks, in Textual's CSS. Colours come from the theme; nothing is said by them alone."""

from __future__ import annotations

from typing import Final

CSS: Final = """
Screen { layout: vertical; background: $background; }
Line { height: 1; width: 1fr; color: $foreground; }
HeaderLine { background: $panel; }
FooterLine { background: $panel; }
Notice { height: auto; max-height: 4; display: none; padding: 0 1; background: $panel; }
Notice.-shown { display: block; }
Notice.-good { color: $text-success; }
Notice.-bad { color: $text-error; text-style: bold; }
FilterBar { height: 1; display: none; }
FilterBar.-shown { display: block; }
FilterBar > Label { width: 2; color: $accent; text-style: bold; }
FilterBar > Input { height: 1; border: none; padding: 0; background: $panel; width: 1fr; }
.body { height: 1fr; }
RowTable {
    height: 1fr; width: 1fr; background: $background; scrollbar-size-vertical: 1; overflow-x: hidden;
}
Pane { height: 1fr; width: 1fr; }
Pane > Line { background: $surface; }
Pane:focus-within > Line { background: $primary 25%; }
OverviewScreen .body { layout: vertical; }
OverviewScreen.-wide .body { layout: grid; grid-size: 2 2; grid-gutter: 0 2; }
Facts { height: auto; max-height: 50%; padding: 0 1; }
Drawing { height: 1fr; padding: 0 1; overflow-y: auto; }
ConfirmScreen, HelpScreen { align: center middle; background: $background 60%; }
ConfirmScreen > #box {
    width: 70; max-width: 95%; height: auto; max-height: 95%; border: heavy $error; background: $surface; padding: 0 1;
}
ConfirmScreen #keys { margin-top: 1; }
HelpScreen > #box {
    width: 76; max-width: 100%; height: 90%; border: round $primary; background: $surface;
    padding: 0 1; overflow-y: auto;
}
HelpScreen #text { height: auto; }
CampaignForm { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
CampaignForm #advanced { height: auto; }
Field { height: auto; }
Field > .row { height: auto; }
Field .label { width: 19; height: 1; color: $foreground; }
Field.-here .label { color: $accent; text-style: bold; }
Field Input { height: 1; border: none; padding: 0; background: $panel; width: 1fr; }
Field > .why { display: none; height: auto; padding-left: 19; color: $text-error; text-style: bold; }
Field > .why.-shown { display: block; }
Choice, Press { height: 1; width: 1fr; }
Choice:focus, Press:focus { background: $primary 40%; text-style: bold; }
Ticks { height: auto; width: 1fr; }
Choice, Press, Ticks { text-wrap: nowrap; text-overflow: ellipsis; }
#hint { height: 2; padding: 0 1; color: $foreground; background: $surface; }
#summary { height: auto; max-height: 3; padding: 0 1; background: $panel; color: $foreground; text-style: bold; }
"""
