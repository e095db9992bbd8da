"""Everything that a key can do: one registry, from which bindings, footer, palette, help and configuration are made.

An action's name is the method `action_NAME` of the screen or widget in whose context it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

EVERYWHERE: Final = "everywhere"
ROWS: Final = "rows"
TABLE: Final = "table"
OVERVIEW: Final = "overview"
WORKERS: Final = "workers"
WORKER: Final = "worker"
CAMPAIGNS: Final = "campaigns"
CAMPAIGN: Final = "campaign"
JOB: Final = "job"
QUEUES: Final = "queues"
QUEUE: Final = "queue"
EVENTS: Final = "events"
COMPARE: Final = "compare"
FORM: Final = "form"
CHOOSING: Final = "choosing"

CONTEXTS: Final[Mapping[str, str]] = {
    EVERYWHERE: "Everywhere",
    ROWS: "In every table",
    TABLE: "On screens with one table",
    OVERVIEW: "Overview",
    WORKERS: "Workers",
    WORKER: "A device",
    CAMPAIGNS: "Campaigns",
    CAMPAIGN: "A campaign",
    JOB: "A job",
    QUEUES: "Queues",
    QUEUE: "A queue",
    EVENTS: "Events",
    COMPARE: "Comparing two campaigns",
    FORM: "A new campaign",
    CHOOSING: "Choosing devices",
}
"""Where actions work, in the order of the help."""


class Action(NamedTuple):
    """Something that a person can do."""

    name: str
    keys: str
    """Separated by commas, as Textual spells keys."""
    word: str
    """What the footer says; empty: the footer doesn't show it."""
    sentence: str
    """What help, palette and configuration say."""
    contexts: tuple[str, ...] = (EVERYWHERE,)
    changes: bool = False
    """It changes the fleet: not there with `--read-only`, nor in a replay."""
    is_dangerous: bool = False
    """It destroys something: it asks first."""
    in_palette: bool = True


ACTIONS: Final[tuple[Action, ...]] = (
    Action("overview", "1", "", "Show the overview"),
    Action("workers", "2", "", "Show the devices"),
    Action("campaigns", "3", "", "Show the campaigns"),
    Action("queues", "4", "", "Show the queues"),
    Action("events", "5", "", "Show the events"),
    Action("open", "enter", "open", "Open what the cursor is on", (ROWS,), in_palette=False),
    Action("back", "escape", "back", "Go back, or clear the filter"),
    Action("submit", "ctrl+s", "submit", "Submit the campaign", (FORM,), changes=True),
    Action("next_field", "tab", "next", "To the next field", (FORM,), in_palette=False),
    Action("previous_field", "shift+tab", "", "To the field before", (FORM,), in_palette=False),
    Action("new_campaign", "n", "new", "Fill in a new campaign", changes=True),
    Action("mark", "space", "mark", "Mark a row, or no longer", (CAMPAIGNS, CHOOSING)),
    Action("mark_all", "A", "mark all", "Mark all rows that the filter leaves, or none", (CHOOSING,)),
    Action("compare", "c", "compare", "Compare the two marked campaigns", (CAMPAIGNS,)),
    Action("swap", "o", "swap", "Turn base and head round", (COMPARE,)),
    Action("filter", "slash", "filter", "Filter rows: words, !word, column:word", (TABLE,)),
    Action("sort", "s", "sort", "Sort by the next column", (TABLE,)),
    Action("sort_reversed", "S", "", "Turn the order round", (TABLE,)),
    Action("drain", "d", "drain", "Let a device end its job and take no more", (WORKERS, WORKER), changes=True),
    Action("undrain", "u", "undrain", "Let a drained device take jobs again", (WORKERS, WORKER), changes=True),
    Action("reset_worker", "R", "reset", "Take a faulty device back into service", (WORKERS, WORKER), changes=True),
    Action("remove_worker", "X", "remove", "Forget a device", (WORKERS, WORKER), changes=True, is_dangerous=True),
    Action(
        "cancel",
        "x",
        "cancel",
        "Cancel what has not ended",
        (CAMPAIGNS, CAMPAIGN, JOB),
        changes=True,
        is_dangerous=True,
    ),
    Action("retry", "r", "retry", "Run again what has failed", (CAMPAIGNS, CAMPAIGN, JOB), changes=True),
    Action("again", "a", "again", "Run a campaign again, with changes", (CAMPAIGNS, CAMPAIGN), changes=True),
    Action("save", "w", "save CSV", "Save a campaign's results as a CSV file here", (CAMPAIGNS, CAMPAIGN)),
    Action("chart", "v", "chart", "Show medians by device and unit, or the jobs again", (CAMPAIGN,)),
    Action(
        "withdraw", "x", "withdraw", "Take a waiting job out of its queue", (QUEUE,), changes=True, is_dangerous=True
    ),
    Action("pause", "p", "pause", "Let the list of events stand still, or go on", (EVENTS,)),
    Action("severity", "v", "severity", "Show events from another severity on", (EVENTS,)),
    Action("up", "up,k", "", "One row up", (ROWS,), in_palette=False),
    Action("down", "down,j", "", "One row down", (ROWS,), in_palette=False),
    Action("left", "left,h", "", "Columns to the left", (ROWS,), in_palette=False),
    Action("right", "right,l", "", "Columns to the right", (ROWS,), in_palette=False),
    Action("page_up", "pageup,ctrl+b", "", "One page up", (ROWS,), in_palette=False),
    Action("page_down", "pagedown,ctrl+f", "", "One page down", (ROWS,), in_palette=False),
    Action("first", "home,g", "", "The first row", (ROWS,), in_palette=False),
    Action("last", "end,G", "", "The last row", (ROWS,), in_palette=False),
    Action("next_pane", "tab", "", "The next table", (OVERVIEW,), in_palette=False),
    Action("previous_pane", "shift+tab", "", "The table before", (OVERVIEW,), in_palette=False),
    Action("palette", "ctrl+p", "", "Search for what can be done", in_palette=False),
    Action("help", "question_mark", "help", "Show all keys"),
    Action("quit", "q,ctrl+q", "quit", "End the dashboard"),
)
"""In the order in which the footer shows them."""

BY_NAME: Final[Mapping[str, Action]] = {action.name: action for action in ACTIONS}


def actions_of(*contexts: str) -> list[Action]:
    """The actions of these contexts, in the registry's order."""
    return [action for action in ACTIONS if set(action.contexts) & set(contexts)]


def clashes(keymap: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each key that would mean two things at one place."""
    for context in CONTEXTS:
        here = {EVERYWHERE, context} | ({ROWS} if context not in (EVERYWHERE, ROWS) else set())
        owners: dict[str, str] = {}
        for action in actions_of(*here):
            for key in keys_of(action, keymap):
                other = owners.setdefault(key, action.name)
                if other != action.name:
                    yield f"{key} would mean both {other} and {action.name} ({CONTEXTS[context].lower()})"


def keys_of(action: Action, keymap: Mapping[str, str]) -> list[str]:
    """The keys of an action, as Textual spells them, after what a person has changed."""
    return [key.strip() for key in keymap.get(action.name, action.keys).split(",")]


_SHOWN: Final = {
    "slash": "/",
    "question_mark": "?",
    "escape": "esc",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "full_stop": ".",
    "comma": ",",
    "exclamation_mark": "!",
}


def shown_key(key: str) -> str:
    """A key as people read it."""
    return _SHOWN.get(key, key)
