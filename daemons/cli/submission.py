"""From the options of `benchfleet submit` to a campaign. Pure: nothing is read or sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from daemons.cli.moments import span
from daemons.core.errors import InvalidInput
from daemons.core.models import CampaignRequest, JobSpec
from daemons.core.units import CPU_ONNX
from daemons.core.validation import Mistake
from daemons.worker.kinds import CORE_ML_FILE, CORE_ML_FOLDERS, OPENVINO, ending_of

Document = dict[str, Any]

_OF_CAMPAIGN: Final = frozenset(CampaignRequest.__struct_fields__) - frozenset(JobSpec.__struct_fields__)


class Asked(NamedTuple):
    """What the options say of jobs."""

    units: tuple[str, ...] = ()
    every_device: bool = False
    devices: int | None = None
    workers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    runs: int | None = None
    priority: int | None = None
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def says_anything(self) -> bool:
        """Whether there is any such option."""
        return self != Asked()


class Named(NamedTuple):
    """What the options say of the campaign, whatever its jobs are."""

    name: str | None = None
    labels: tuple[tuple[str, str], ...] = ()

    def onto(self, campaign: Document) -> Document:
        """The campaign with this name, if there is one, and these labels beside its own."""
        named = campaign | ({} if self.name is None else {"name": self.name})
        labels = {**(campaign.get("labels") or {}), **dict(self.labels)}
        return named | ({"labels": labels} if labels else {})


def campaign_of(model: str, asked: Asked) -> Document:
    """A campaign of one model: a job for each unit and device that is named. InvalidInput if that can't be meant."""
    if asked.every_device and asked.devices is not None:
        raise InvalidInput("--every-device and --devices are two answers to one question; leave one out")
    if asked.workers and (asked.every_device or asked.devices is not None or asked.tags):
        raise InvalidInput("--worker names devices, and --every-device, --devices and --tag choose them; leave one out")
    shared = _shared(asked)
    units: Sequence[str | None] = asked.units or ((None,) if asked.workers else (_default_unit(model),))
    places = [_place(unit, worker) for worker in asked.workers or (None,) for unit in units]
    settings = dict(asked.settings)
    of_campaign = {name: value for name, value in settings.items() if name in _OF_CAMPAIGN}
    of_jobs = {name: value for name, value in settings.items() if name not in _OF_CAMPAIGN}
    return {"model_url": model, "jobs": [place | shared | of_jobs for place in places], **of_campaign}


def _shared(asked: Asked) -> Document:
    """What all jobs say."""
    said: Document = {
        "devices": "every" if asked.every_device else asked.devices,
        "tags": list(asked.tags) or None,
        "num_inference_runs": asked.runs,
        "priority": asked.priority,
    }
    return {name: value for name, value in said.items() if value is not None}


def _place(unit: str | None, worker: str | None) -> Document:
    return ({} if unit is None else {"compute_unit": unit}) | ({} if worker is None else {"worker_id": worker})


def _default_unit(model: str) -> str:
    """The unit that every device has, for a model that may be one of ONNX."""
    name = model.partition("?")[0].rstrip("/").lower().removesuffix(".zip")
    if ending_of(name) not in (CORE_ML_FILE, *CORE_ML_FOLDERS, OPENVINO):
        return CPU_ONNX
    raise InvalidInput(
        f"{model} is no .onnx model, so say with --on which unit it is for; `benchfleet workers` lists units"
    )


def spelt(mistake: Mistake) -> str:
    """A mistake in the words of options: the jobs that they make have no numbers that anybody has seen."""
    steps = [step for step in mistake.path if step not in ("jobs", "model_url") and not isinstance(step, int)]
    return f"{'.'.join(map(str, steps))}: {mistake.problem}" if steps else mistake.problem


def unique(sentences: Sequence[str]) -> tuple[str, ...]:
    """Each sentence once, in their order: all jobs of a command share their mistakes."""
    return tuple(dict.fromkeys(sentences))


def told(answer: Mapping[str, Any]) -> list[str]:
    """What the orchestrator says about a campaign that it has accepted, in lines."""
    total = answer["total_jobs"]
    jobs = "1 job" if total == 1 else f"{total:,} jobs"
    can_run, estimate_s = answer.get("runnable_now"), answer.get("estimate_s")
    parts = [f"{answer['campaign_id']}: accepted, {jobs}"]
    if can_run is not None and can_run != total:
        parts.append(f"{f'{can_run:,}' if can_run else 'none'} of which can run now")
    if estimate_s is not None:
        parts.append(f"about {span(max(1.0, estimate_s))} by what such jobs have taken")
    return [", ".join(parts), *(f"  {warning}" for warning in answer.get("warnings") or ())]
