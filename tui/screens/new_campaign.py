"""New campaign: a form that is checked as it is filled in, and says what it would make before it is submitted."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

import msgspec
from textual.binding import BindingType
from textual.events import DescendantFocus, Key
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static
from textual.worker import Worker

from daemons.core.errors import BenchfleetError, InvalidInput
from daemons.core.urls import KEPT
from tui.actions import FORM
from tui.bindings import bindings_of
from tui.board.board import Reader
from tui.board.cells import plain
from tui.forms.checking import Review, devices_of, is_missing, place_refusal, review, told, told_waiting, units_of
from tui.forms.draft import Draft, document_of
from tui.screens.base import BoardScreen
from tui.screens.campaign import CampaignScreen
from tui.screens.choosing import ChoosingScreen
from tui.screens.sending import LocalFiles, Sending, problem_of_file
from tui.widgets.campaign_form import CampaignForm, HintLine
from tui.widgets.fields import Press, Ticks

PAUSE_S: Final = 0.15
"""So long nothing is typed before what stands there is checked."""
FLEET_EVERY_S: Final = 1.0
"""The fleet changes, too: looked at no more often than this."""


class NewCampaignScreen(BoardScreen):
    """The form, what it would make, and its way to the orchestrator."""

    CONTEXTS: ClassVar[tuple[str, ...]] = (FORM,)
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(FORM)
    MODE = "campaigns"

    def __init__(self, draft: Draft, remarks: Sequence[str] = ()) -> None:
        """`remarks` are said at the beginning."""
        super().__init__()
        self._first = draft
        self._remarks = remarks
        self._kept: dict[str, str] | None = None
        """The models that the orchestrator keeps, where all of them are known."""
        self._files = LocalFiles()
        self._reader: Reader | None = None
        self._pause: Timer | None = None
        self._insists = False
        """It was to be submitted: now what is missing is a mistake."""
        self._submitting: Worker[None] | None = None
        self._sending: Sending | None = None
        self._key = ("", "")
        """A request, and the key by which the orchestrator knows it again when it comes twice."""
        self._made: CampaignScreen | None = None
        self._summary = ""
        self.mode = self.MODE
        """Over which of the five screens it is."""

    @property
    def crumbs(self) -> Sequence[str]:
        """What it is."""
        return ["new campaign"]

    @property
    def form(self) -> CampaignForm:
        """The fields."""
        return self.query_one(CampaignForm)

    def compose_body(self) -> Iterable[Widget]:
        """The fields."""
        yield CampaignForm(self._first, self._files)

    def compose_below(self) -> Iterable[Widget]:
        """What is to be known of the field, and what the whole would make."""
        yield HintLine("", markup=False, id="hint")
        yield Static(markup=False, id="summary")

    def on_mount(self) -> None:
        """Begin with the model."""
        self._reader = self.desk.board.reader()
        self.mode = self.app.current_mode
        self.dashboard.form = self
        self.form.query_one(Input).focus()
        self.set_interval(FLEET_EVERY_S, self._look_at_fleet)
        self.set_interval(PAUSE_S, self._show_sending)
        self.work(self._fetch_models, "models")
        self._offer_units()
        self._check_soon()
        if self._remarks:
            self.say("; ".join(self._remarks))

    def on_unmount(self) -> None:
        """What was written is there when one comes back."""
        if self._reader is not None:
            self.desk.board.release(self._reader)
        if self.dashboard.form is self:
            self.dashboard.form = None

    @property
    def is_busy(self) -> bool:
        """Whether it is on its way."""
        return self._submitting is not None and self._submitting.is_running

    def before_quitting(self) -> tuple[str, list[str]] | None:
        """What would be lost; None: nothing."""
        if self._sending is not None:
            return "Quit in the middle of the upload?", [
                f"{self._sending.path.name} is not whole: no campaign is made of it",
                "what was sent is kept: the same file goes on from there when it is sent again",
            ]
        if self.form.draft in (self._first, Draft()) or self._made is not None:
            return None
        return "Quit without submitting?", ["what is written in the form of the new campaign is lost"]

    def go_back(self) -> bool:
        """Stop what is under way; whether anything was."""
        if self._sending is not None and self._submitting is not None:
            self._submitting.cancel()
            self._check_soon()
            self.say("the upload is stopped; it goes on from there when you submit again", is_bad=True)
            return True
        self.dashboard.draft = self.form.draft
        return False

    def on_screen_resume(self) -> None:
        """It was submitted while another screen was seen."""
        if self._made is not None:
            self.call_after_refresh(self._open_made)

    def on_edited(self) -> None:
        """Something was chosen or ticked."""
        self.form.adapt()
        self._check_soon()

    def on_input_changed(self) -> None:
        """Something was typed."""
        self._check_soon()

    def on_input_submitted(self) -> None:
        """On to the next field."""
        self.focus_next()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Another field is edited."""
        self.query_one(HintLine).show(*self.form.hint_of(event.widget))

    def on_key(self, event: Key) -> None:
        """Up and down lead from field to field, where they do nothing else."""
        if event.key in ("up", "down") and not isinstance(self.focused, Ticks):
            event.stop()
            self.focus_next() if event.key == "down" else self.focus_previous()

    def on_press_pressed(self, event: Press.Pressed) -> None:
        """One of the lines that do something."""
        match event.press.id:
            case "fold":
                self.form.unfold(is_open=not self.form.is_open)
            case "submit":
                self.action_submit()
            case "choose":
                draft = self.form.draft
                self.app.push_screen(ChoosingScreen(draft.chosen, draft.units, self._chose))

    def action_next_field(self) -> None:
        """To the next field."""
        self.focus_next()

    def action_previous_field(self) -> None:
        """To the field before."""
        self.focus_previous()

    def action_submit(self) -> None:
        """Make the campaign, if nothing is wrong."""
        if not self.is_busy:
            self._insists = True
            self._submitting = self.work(self._submit, "submit")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """It is there already: `new_campaign` would do nothing."""
        return False if action == "new_campaign" else super().check_action(action, parameters)

    def _chose(self, workers: tuple[str, ...]) -> None:
        self.form.chosen = workers
        self.on_edited()

    def _check_soon(self) -> None:
        if self._made is not None:
            return  # what stands here has become a campaign
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(PAUSE_S, lambda: self.work(self._check, "check"))

    def _look_at_fleet(self) -> None:
        if self._reader is not None and self._reader.take().workers and not self.is_busy and self._made is None:
            self._offer_units()
            self._check_soon()

    def _offer_units(self) -> None:
        counts = units_of(devices_of(self.desk.board.workers), self.form.ticks.value or self._first.units)
        self.form.offer_units(counts)

    async def _fetch_models(self) -> None:
        try:
            answer = await self.desk.ask("models")
        except BenchfleetError:
            return  # the header says what is lost; without it, nothing is suggested
        found = {one["name"]: one["sha256"] for one in answer["models"]}
        self._files.kept = [f"{KEPT}{name}" for name in found]
        self._kept = None if "next_cursor" in answer else found
        self._check_soon()

    async def _check(self) -> None:
        found = await self._reviewed(self.form.draft)
        if self.is_attached and self._made is None:
            self._show(found)

    async def _reviewed(self, draft: Draft) -> Review:
        problem = await asyncio.to_thread(problem_of_file, draft.file) if draft.file is not None else None
        fleet = devices_of(self.desk.board.workers)
        return await asyncio.to_thread(review, draft, fleet, kept=self._kept, file_problem=problem)

    def _show(self, found: Review) -> None:
        shown = {key: text for key, text in found.mistakes.items() if self._insists or not is_missing(text)}
        self.form.complain(shown)
        label = f"submit {told(found)}" if found.is_fine else "submit"
        self.form.query_one("#submit", Press).say(label)
        sentence = f"→ {told(found)}" if found.is_fine else f"✗ {told(found)}" if shown else "fill in model and units"
        waits = [f"! {one}" for one in told_waiting(found)]
        self._sum_up("\n".join(plain(line) for line in (sentence, *waits[:2])))

    def _sum_up(self, text: str) -> None:
        if text != self._summary:
            self._summary = text
            self.query_one("#summary", Static).update(text)

    async def _submit(self) -> None:
        draft = self.form.draft
        found = await self._reviewed(draft)
        self._show(found)
        if not found.is_fine:
            self.form.go_to(found.mistakes)
            return
        try:
            url = await self._upload(draft.file) if draft.file is not None else None
            answer = await self._order(document_of(draft, devices_of(self.desk.board.workers), url))
        except InvalidInput as error:
            self._refused(error)
        except (BenchfleetError, OSError) as error:
            self.say(str(error), is_bad=True)
            self._show(found)
        else:
            self._submitted(answer)

    async def _upload(self, path: str) -> str:
        self.hush()
        self._sending = Sending(path)
        try:
            return await self._sending.send(self.desk)
        finally:
            self._sending = None

    async def _order(self, document: dict[str, Any]) -> dict[str, Any]:
        request = msgspec.json.encode(document).decode()
        if self._key[0] != request:
            self._key = (request, uuid.uuid4().hex)
        self._sum_up("submitting")
        answer: dict[str, Any] = await self.desk.order("submit", campaign=document, idempotency_key=self._key[1])
        return answer

    def _refused(self, error: InvalidInput) -> None:
        """The server's own sentence, next to the field that it names."""
        mistakes: dict[str, str] = {}
        place_refusal(mistakes, error)
        self.form.complain(mistakes)
        self.say(str(error), is_bad=True)
        self._sum_up("✗ refused")
        self.form.go_to(mistakes)

    def _submitted(self, answer: dict[str, Any]) -> None:
        self.dashboard.draft = None
        self._made = CampaignScreen(answer["campaign_id"])
        warnings = "; ".join(answer.get("warnings") or ())
        self._made.call_after_refresh(self._made.say, f"submitted{f': {warnings}' if warnings else ''}")
        if self.is_current:
            self._open_made()

    def _open_made(self) -> None:
        if self._made is not None and self.is_current:
            screen: Screen[Any] = self._made
            self.app.switch_screen(screen)

    def _show_sending(self) -> None:
        if self._sending is not None:
            self._sum_up(plain(f"{self._sending.state.words}   esc stops it"))
