"""The fields of a new campaign, and what stands in them. It checks nothing and sends nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input, Static

from daemons.core.models import CampaignRequest, JobSpec
from tui.forms.draft import DEVICES, MODEL, NAME, RUNS, TAGS, UNITS, Draft, Which
from tui.forms.options import Option, allowed_of, options
from tui.widgets.fields import Choice, Field, Press, Tick, Ticks

NUMBER: Final = "number"
CHOSEN: Final = "chosen"
WHICH: Final = (("any", "any"), ("every", "every"), ("number", "so many"), ("chosen", "chosen"))
"""Which devices get a job, and the words for them."""

_ABOUT: Final = {
    MODEL: "a URL, model:NAME of one that the orchestrator keeps, or a file here, which is uploaded; → takes what is "
    "suggested",
    NAME: "what people call the campaign; may be empty",
    UNITS: "a job for each",
    DEVICES: "any: one job a unit, for whichever comes first; otherwise one for each device that has the unit",
    NUMBER: "one job for each of so many devices, those first that are free",
    CHOSEN: "opens the list of devices",
    TAGS: "only devices that have all of these tags",
    RUNS: "timed runs of each job",
}


class CampaignForm(VerticalScroll, can_focus=False):
    """The form. It scrolls to the field that is edited."""

    def __init__(self, draft: Draft, suggester: Suggester) -> None:
        super().__init__(id="form")
        self._draft = draft
        self._suggester = suggester
        self.chosen = draft.chosen
        """Devices by their identifiers, as they were chosen elsewhere."""

    def compose(self) -> ComposeResult:
        """Field by field."""
        draft = self._draft
        yield _text(MODEL, "model", draft.model, suggester=self._suggester)
        yield _text(NAME, "name", draft.name)
        yield Field(UNITS, "on units", Ticks(draft.units), _ABOUT[UNITS])
        yield Field(DEVICES, "devices", Choice(WHICH, draft.which), _ABOUT[DEVICES])
        yield _text(NUMBER, "how many", draft.number)
        yield Field(CHOSEN, "which", Press(id="choose"), _ABOUT[CHOSEN])
        yield _text(TAGS, "with tags", draft.tags)
        yield _text(RUNS, "runs", draft.runs, f"; {allowed_of(JobSpec, 'num_inference_runs')}")
        yield Press(id="fold")
        with Vertical(id="advanced"):
            yield from (_option(one, draft.options.get(one.name, "")) for one in options())
        yield Press(id="submit")

    def on_mount(self) -> None:
        """Show what belongs together."""
        self.unfold(is_open=any(self._draft.options.values()))
        self.adapt()

    @property
    def draft(self) -> Draft:
        """What stands in the fields now."""
        which = cast("Which", self._value(DEVICES))
        written = {one.name: str(self._value(one.name)).strip() for one in options()}
        blank = {one.name: (one.choices or ("",))[0] for one in options()}
        return Draft(
            model=self._value(MODEL),
            name=self._value(NAME),
            units=self._value(UNITS),
            which=which,
            number=self._value(NUMBER),
            chosen=self.chosen,
            tags=self._value(TAGS),
            runs=self._value(RUNS),
            options={name: text for name, text in written.items() if text != blank[name]},
        )

    @property
    def ticks(self) -> Ticks:
        """The units."""
        return self.query_one(Ticks)

    @property
    def is_open(self) -> bool:
        """Whether the advanced options are seen."""
        return bool(self.query_one("#advanced").display)

    def unfold(self, *, is_open: bool) -> None:
        """Show the advanced options, or fold them away."""
        self.query_one("#advanced").display = is_open
        word = "fold the options away" if is_open else f"{len(options())} more options"
        self.query_one("#fold", Press).say(f"{'▾' if is_open else '▸'} {word}")

    def adapt(self) -> None:
        """Show the fields that matter to the devices that are meant."""
        which = self._value(DEVICES)
        self._field(NUMBER).display = which == NUMBER
        self._field(CHOSEN).display = which == CHOSEN
        self._field(TAGS).display = which != CHOSEN
        count = len(self.chosen)
        self.query_one("#choose", Press).say(f"choose devices: {count:,} chosen" if count else "choose devices")

    def offer_units(self, counts: Mapping[str, int]) -> None:
        """These units there are, on so many devices."""
        words = {0: "no device now", 1: "1 device"}
        entries = [Tick(unit, words.get(count, f"{count:,} devices")) for unit, count in counts.items()]
        self.ticks.offer(entries)

    def complain(self, mistakes: Mapping[str, str]) -> None:
        """Show what is wrong next to where it stands."""
        for field in self.query(Field):
            field.complain(mistakes.get(field.key))

    def go_to(self, mistakes: Iterable[str]) -> None:
        """Begin to edit the first field with a mistake, unfolded if it must be."""
        found = set(mistakes)
        for field in self.query(Field):
            if field.key in found:
                if any(ancestor.id == "advanced" for ancestor in field.ancestors):
                    self.unfold(is_open=True)
                field.widget.focus()
                return

    def hint_of(self, widget: Widget | None) -> tuple[str, str]:
        """What is to be known of the field that is edited: its keys, and what it takes."""
        field = next((one for one in widget.ancestors_with_self if isinstance(one, Field)), None) if widget else None
        return str(getattr(widget, "HINT", "")), field.about if field is not None else ""

    def _field(self, key: str) -> Field:
        return self.query_one(f"#field-{key}", Field)

    def _value(self, key: str) -> Any:
        return cast("Any", self._field(key).widget).value


def _text(key: str, label: str, value: str, more: str = "", suggester: Suggester | None = None) -> Field:
    if key == NAME:
        more = f"; {allowed_of(CampaignRequest, 'name')}"
    return Field(key, label, Input(value, suggester=suggester, select_on_focus=False), _ABOUT[key] + more)


def _option(option: Option, written: str) -> Field:
    about = "; ".join(_about(option))
    if option.choices:
        widget: Widget = Choice([(word, word) for word in option.choices], written)
    else:
        widget = Input(written, placeholder=option.default, select_on_focus=False)
    return Field(option.name, option.label, widget, about)


def _about(option: Option) -> Iterator[str]:
    if option.about:
        yield option.about.rstrip(".")
    if not option.choices:
        yield option.allowed


class HintLine(Static):
    """What is to be known of the field that is edited."""

    def show(self, keys: str, about: str) -> None:
        """Its keys, and what it takes."""
        self.update(Content.assemble((keys, "bold"), "  " if keys else "", about))
