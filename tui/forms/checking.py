"""What a form would make, and what is wrong with it: by the server's own rules, against the fleet on the board."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from daemons.core.errors import InvalidInput
from daemons.core.inputs import check_jobs
from daemons.core.models import CampaignRequest
from daemons.core.outlook import Waiting, groups_of, outlook
from daemons.core.targeting import Device, expand
from daemons.core.units import STANDARD_UNITS
from daemons.core.urls import check_model_url, kept_model
from daemons.core.validation import Mistake, convert, find_mistakes
from tui.board.things import Worker
from tui.forms.draft import DEVICES, MODEL, UNITS, Draft, document_of, field_of

_MISSING: Final = {
    MODEL: "is missing: the model's URL, model:NAME of one that the orchestrator keeps, or a file here",
    UNITS: "is missing: tick at least one, with space",
    DEVICES: "choose at least one device, with enter",
}


class Review(NamedTuple):
    """What a form comes to."""

    document: dict[str, Any]
    """The request, as JSON."""
    mistakes: dict[str, str]
    """Field → what is wrong there; "" for what is about no single field."""
    jobs: int = 0
    devices: int = 0
    """Those that the jobs are for alone."""
    able: int = 0
    """Those that could take one of the jobs that are for whichever comes first."""
    waiting: tuple[Waiting, ...] = ()
    warnings: tuple[str, ...] = ()
    """Why jobs wait, or will fail."""

    @property
    def is_fine(self) -> bool:
        """Whether it can be submitted."""
        return not self.mistakes


def devices_of(workers: Mapping[str, Worker]) -> list[Device]:
    """The fleet, as far as choosing among devices goes."""
    return [
        Device(key, tuple(one.capabilities), frozenset(one.tags), one.status, is_drained=one.drained)
        for key, one in workers.items()
    ]


def units_of(fleet: Sequence[Device], also: Sequence[str] = ()) -> dict[str, int]:
    """Unit → on how many devices that take jobs it is, most first; `also` and those of every benchfleet among them."""
    counts = dict.fromkeys((*(unit for device in fleet for unit in device.units), *also, *STANDARD_UNITS), 0)
    for device in fleet:
        for unit in device.units if device.takes_jobs else ():
            counts[unit] += 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def review(
    draft: Draft,
    fleet: Sequence[Device],
    *,
    kept: Mapping[str, str] | None = None,
    file_problem: str | None = None,
) -> Review:
    """What the form would make. `kept`: the models that the orchestrator has, by name; None if that isn't known.

    `file_problem`: why the file that is named can't be sent.
    """
    document = document_of(draft, fleet)
    mistakes = dict(_missing(draft, document))
    for mistake in find_mistakes(document, CampaignRequest):
        _add(mistakes, mistake)
    if draft.file is not None and file_problem:
        mistakes[MODEL] = file_problem
    elif MODEL not in mistakes:
        _check(mistakes, lambda: _check_model(document["model_url"], kept if draft.file is None else None))
    if mistakes:
        return Review(document, mistakes)
    return _expected(draft, document, fleet)


def _missing(draft: Draft, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not draft.model.strip():
        yield MODEL, _MISSING[MODEL]
    if not draft.units:
        yield UNITS, _MISSING[UNITS]
    elif draft.which == "chosen" and not draft.chosen:
        yield DEVICES, _MISSING[DEVICES]
    elif not document["jobs"]:
        yield DEVICES, f"none of the chosen devices has {' or '.join(draft.units)}"


def is_missing(problem: str) -> bool:
    """Whether nothing is wrong yet, for nothing was said."""
    return problem in _MISSING.values()


def _add(mistakes: dict[str, str], mistake: Mistake) -> None:
    field = field_of(str(mistake).partition(":")[0])
    mistakes.setdefault(field, mistake.problem if field else str(mistake))


def _check(mistakes: dict[str, str], check: Any) -> Any:
    """What `check` returns; what it refuses stands with the field that it names."""
    try:
        return check()
    except InvalidInput as error:
        place_refusal(mistakes, error)
        return None


def place_refusal(mistakes: dict[str, str], error: InvalidInput) -> None:
    """Put what was refused next to the fields that it is about."""
    for text in error.mistakes:
        path, colon, problem = text.partition(": ")
        known = field_of(path) if colon else ""
        field = known or field_of(error.field or "")
        mistakes.setdefault(field, problem if known else text)


def _check_model(url: str, kept: Mapping[str, str] | None) -> None:
    found = kept_model(check_model_url(url))
    if kept is not None and found is not None and found.name and not found.sha256 and found.name not in kept:
        raise InvalidInput(f"model_url: the orchestrator keeps no model {found.name!r}", field="model_url")


def _expected(draft: Draft, document: dict[str, Any], fleet: Sequence[Device]) -> Review:
    mistakes: dict[str, str] = {}
    request = _check(mistakes, lambda: convert(document, CampaignRequest))
    if request is not None:
        _check(mistakes, lambda: check_jobs(request.jobs))
    units = frozenset((*units_of(fleet), *draft.units))
    made = None if mistakes else _check(mistakes, lambda: expand(request, fleet, units))
    if made is None:
        return Review(document, mistakes)
    expected = outlook(groups_of(made.jobs, made.model_url), fleet, {})
    loose = {(job.compute_unit or "", tuple(job.tags)) for job in made.jobs if job.worker_id is None}
    return Review(
        document,
        {},
        jobs=len(made.jobs),
        devices=len({job.worker_id for job in made.jobs if job.worker_id is not None}),
        able=sum(one.takes_jobs and any(one.fits(unit, tags) for unit, tags in loose) for one in fleet),
        waiting=tuple(expected.waiting),
        warnings=tuple(expected.warnings),
    )


def told(found: Review) -> str:
    """What submitting would make, in a sentence; what is in its way, where it can't be."""
    if not found.is_fine:
        count = len(found.mistakes)
        whole = found.mistakes.get("")
        return whole or (
            f"{count} fields need another look" if count > 1 else _one(*next(iter(found.mistakes.items())))
        )
    jobs = _many(found.jobs, "job")
    where = f" on {_many(found.devices, 'device')}" if found.devices else ""
    if not found.devices and found.able:
        where = f", for whichever of {_many(found.able, 'device')} comes first" if found.able > 1 else " on 1 device"
    return f"{jobs}{where}"


def told_waiting(found: Review) -> list[str]:
    """What waits for a device that isn't there, and what will fail: a sentence each."""
    waits = [f"{_many(one.jobs, 'job')} would wait: {one.why}" for one in found.waiting]
    return [*waits, *(text for text in found.warnings if text not in {one.why for one in found.waiting})]


def _one(field: str, problem: str) -> str:
    return f"{field.replace('_', ' ')}: {problem}"


def _many(count: int, name: str) -> str:
    return f"1 {name}" if count == 1 else f"{count:,} {name}s"
