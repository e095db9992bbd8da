"""What stands in the form, letter by letter, and the request that it asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct

from daemons.core.targeting import Device
from daemons.core.urls import KEPT, KeptModel, name_to_keep
from tui.forms.options import Option, number_of, options

Which = Literal["any", "every", "number", "chosen"]

MODEL: Final = "model"
UNITS: Final = "units"
DEVICES: Final = "devices"
TAGS: Final = "tags"
RUNS: Final = "runs"
NAME: Final = "name"

_FIELDS: Final = {
    "model_url": MODEL,
    "compute_unit": UNITS,
    "compute_units": UNITS,
    "worker_id": DEVICES,
    "devices": DEVICES,
    "tags": TAGS,
    "num_inference_runs": RUNS,
    "name": NAME,
    "jobs": UNITS,
}


class Draft(Struct, frozen=True, kw_only=True):
    """A form as it is filled in. What is empty is not said."""

    model: str = ""
    """A URL, `model:NAME`, or the path of a file here."""
    name: str = ""
    units: tuple[str, ...] = ()
    which: Which = "any"
    """any: whichever device comes first. every: each that could run it. number: so many of them. chosen: these."""
    number: str = "2"
    chosen: tuple[str, ...] = ()
    """Devices by their identifiers."""
    tags: str = ""
    runs: str = "10"
    options: dict[str, str] = {}
    """Option → what is written there."""

    @property
    def file(self) -> str | None:
        """The path that is named as model; None if it is an address, or nothing."""
        text = self.model.strip()
        return None if not text or "://" in text or text.startswith(KEPT) else text


def document_of(draft: Draft, fleet: Sequence[Device], model_url: str | None = None) -> dict[str, Any]:
    """The campaign that is asked for, as JSON. `model_url` is where the file that is named has been uploaded to."""
    said = {option: option.value_of(text) for option, text in _said(draft)}
    of_jobs = {option.name: value for option, value in said.items() if option.is_of_job}
    of_campaign = {option.name: value for option, value in said.items() if not option.is_of_job}
    runs = {"num_inference_runs": number_of(draft.runs)} if draft.runs.strip() else {}
    jobs = [place | runs | of_jobs for place in _places(draft, fleet)]
    name = {"name": draft.name.strip()} if draft.name.strip() else {}
    return {"model_url": model_url or address_of(draft), "jobs": jobs} | name | of_campaign


def address_of(draft: Draft) -> str:
    """The model's URL; for a file, the one that it has once it is uploaded under its own name."""
    return draft.model.strip() if draft.file is None else KeptModel(name_to_keep(draft.file)).url


def field_of(path: str) -> str:
    """The form's field that a place in the request is about, such as ``jobs[0].compute_unit``; "" for none of them."""
    first = re.split(r"[.\[]", re.sub(r"^(jobs|matrix)(\[\d+\])?\.", "", path))[0]
    return _FIELDS.get(first) or (first if any(option.name == first for option in options()) else "")


def _places(draft: Draft, fleet: Sequence[Device]) -> list[dict[str, Any]]:
    if draft.which == "chosen":
        units = {device.worker_id: device.units for device in fleet}
        return [
            {"compute_unit": unit, "worker_id": worker_id}
            for worker_id in draft.chosen
            for unit in draft.units
            if unit in units.get(worker_id, (unit,))  # one that is not there any more is for the server to name
        ]
    tags = [tag for tag in re.split(r"[\s,]+", draft.tags) if tag]
    which: Mapping[str, Any] = {
        "any": {},
        "every": {"devices": "every"},
        "number": {"devices": number_of(draft.number)},
    }
    return [{"compute_unit": unit, **which[draft.which], **({"tags": tags} if tags else {})} for unit in draft.units]


def _said(draft: Draft) -> list[tuple[Option, str]]:
    written = [(option, draft.options.get(option.name, "").strip()) for option in options()]
    return [(option, text) for option, text in written if text and text != (option.choices or ("",))[0]]
