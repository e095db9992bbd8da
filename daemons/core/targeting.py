"""Which jobs a campaign makes: what it lists and its matrix, multiplied out over models, units, devices and options.

Pure: the fleet is passed in as it is at that moment. Afterwards every job names its compute unit, and either one device
or none; where it waits and who may take it follows from that alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from msgspec import structs

from daemons.core.errors import InvalidInput
from daemons.core.models import MAX_JOBS, CampaignRequest, Devices, JobSpec, Matrix

MAX_MODELS: Final = 1000
MAX_TAG_SETS: Final = 1000
"""So many different sets of tags may one campaign ask for: each is a queue that devices look into."""

_OF_THE_MATRIX: Final = ("compute_unit", "worker_id", "tags", "devices", "model_url")
"""What the matrix says itself; its options say the rest."""


class Device(NamedTuple):
    """A device as far as choosing among devices goes."""

    worker_id: str
    units: tuple[str, ...]
    """Compute units, the preferred one first."""
    tags: frozenset[str] = frozenset()
    status: str = "active"
    is_drained: bool = False

    @property
    def is_offline(self) -> bool:
        """Whether it has said goodbye."""
        return self.status == "offline"

    @property
    def takes_jobs(self) -> bool:
        """Whether it is there and takes jobs, now or after the one that it has."""
        return self.status not in ("offline", "faulty") and not self.is_drained

    @property
    def is_free(self) -> bool:
        """Whether it would take a job at once."""
        return self.status == "active" and self.takes_jobs

    def fits(self, unit: str, tags: Sequence[str]) -> bool:
        """Whether it has the unit and all of the tags."""
        return unit in self.units and self.tags.issuperset(tags)


class Expanded(NamedTuple):
    """A campaign, multiplied out."""

    model_url: str
    """The campaign's own model; jobs that name none are about it."""
    jobs: list[JobSpec]


class _Part(NamedTuple):
    """A job as it is written, made precise, and the devices that get one each; None is whichever comes first."""

    job: JobSpec
    workers: Sequence[str | None]


def expand(request: CampaignRequest, fleet: Sequence[Device], units: frozenset[str]) -> Expanded:
    """Every job of the campaign, of known compute `units`, in the order of writing.

    A matrix changes its options fastest, then devices, units and models: what is to be compared runs one after another.
    Raises InvalidInput, with the field, for a campaign without jobs, with more than `MAX_JOBS`, with a job that could
    never run, or one that asks for devices that are not there.
    """
    model_url = _model_of(request)
    choice = _Choice(fleet, units)
    listed = [_part(f"jobs[{index}]", job, model_url, choice) for index, job in enumerate(request.jobs)]
    matrix = None if request.matrix is None else _Rows(request.matrix, choice)
    total = sum(len(part.workers) for part in listed) + (matrix.size if matrix else 0)
    if total == 0:
        raise InvalidInput("jobs: a campaign needs at least one job, listed in jobs or made by a matrix", field="jobs")
    if total > MAX_JOBS:
        field = "matrix" if matrix and matrix.size > MAX_JOBS else "jobs"
        raise InvalidInput(
            f"{field}: the campaign would have {total:,} jobs, and at most {MAX_JOBS:,} are taken; split it",
            field=field,
        )
    jobs = [job for part in listed for job in _jobs_of(part)]
    if matrix is not None:
        jobs.extend(matrix.jobs(model_url))
    _check_variety(jobs)
    return Expanded(model_url, jobs)


def addresses_in(request: CampaignRequest) -> dict[str, str]:
    """Each model and file of inputs that the campaign names, and a field in which that is said."""
    options = request.matrix.options if request.matrix is not None else ()
    inputs = {
        job.inputs_url: f"{where}[{index}].inputs_url"
        for where, jobs in (("matrix.options", options), ("jobs", request.jobs))
        for index, job in enumerate(jobs)
        if job.inputs_url is not None
    }
    return inputs | models_in(request)


def models_in(request: CampaignRequest) -> dict[str, str]:
    """Each model that the campaign names, its own first, and the field in which that is said first."""
    matrix = request.matrix.models if request.matrix is not None else None
    said = [
        ("model_url", request.model_url),
        *((f"jobs[{index}].model_url", job.model_url) for index, job in enumerate(request.jobs)),
        *((f"matrix.models[{index}]", url) for index, url in enumerate(matrix or ())),
    ]
    fields: dict[str, str] = {}
    for field, url in said:
        if url is not None:
            fields.setdefault(url, field)
    return fields


def _model_of(request: CampaignRequest) -> str:
    """The campaign's own model: the one that it names, else the first of the others."""
    matrix = request.matrix
    nameless = [f"jobs[{index}]" for index, job in enumerate(request.jobs) if job.model_url is None]
    if matrix is not None and matrix.models is None:
        nameless.append("matrix")
    named = list(models_in(request))
    if not named or (nameless and request.model_url is None):
        rest = f"; {nameless[0]} names none" if nameless and named else ""
        raise InvalidInput(
            f"model_url: is missing; the campaign names a model, or each of its jobs and its matrix does{rest}",
            field="model_url",
        )
    if len(named) > MAX_MODELS:
        text = f"jobs: name {len(named):,} different models, and at most {MAX_MODELS:,} are taken in one campaign"
        raise InvalidInput(text, field="jobs")
    return named[0]


def _part(where: str, job: JobSpec, model_url: str, choice: _Choice) -> _Part:
    if job.worker_id is not None:
        choice.check_alone(where, job)
    unit = choice.unit_of(where, job)
    workers = choice.workers(where, job.devices, unit, job.tags) if job.worker_id is None else (job.worker_id,)
    changes: dict[str, Any] = {}
    if job.compute_unit is None:
        changes["compute_unit"] = unit
    if job.model_url == model_url:
        changes["model_url"] = None
    if job.tags:
        changes["tags"] = sorted(set(job.tags)) if job.devices == "any" else []
    if job.devices != "any":
        changes["devices"] = "any"
    return _Part(structs.replace(job, **changes) if changes else job, workers)  # most have none, and may be many


def _jobs_of(part: _Part) -> Iterator[JobSpec]:
    for worker_id in part.workers:
        is_said = worker_id == part.job.worker_id
        yield part.job if is_said else structs.replace(part.job, worker_id=worker_id)


def _check_variety(jobs: Sequence[JobSpec]) -> None:
    tag_sets = {tuple(job.tags) for job in jobs if job.tags}
    if len(tag_sets) > MAX_TAG_SETS:
        text = f"jobs: ask for {len(tag_sets):,} different sets of tags, and at most {MAX_TAG_SETS:,} are taken"
        raise InvalidInput(text, field="jobs")


class _Rows:
    """The jobs of a matrix."""

    def __init__(self, matrix: Matrix, choice: _Choice) -> None:
        self._matrix = matrix
        self._models = matrix.models or (None,)
        self._tags = sorted(set(matrix.tags)) if matrix.devices == "any" else []
        _check_options(matrix)
        self._units = [(unit, _workers_of(matrix, index, choice)) for index, unit in enumerate(matrix.compute_units)]

    @property
    def size(self) -> int:
        """How many there are."""
        return sum(len(workers) for _, workers in self._units) * len(self._models) * len(self._matrix.options)

    def jobs(self, model_url: str) -> Iterator[JobSpec]:
        """All of them, in a campaign about this model."""
        for model in self._models:
            for unit, workers in self._units:
                rows = [
                    structs.replace(
                        option,
                        model_url=None if model == model_url else model,
                        compute_unit=unit,
                        tags=self._tags,
                    )
                    for option in self._matrix.options
                ]
                for worker_id in workers:
                    yield from (structs.replace(row, worker_id=worker_id) for row in rows)


def _workers_of(matrix: Matrix, index: int, choice: _Choice) -> Sequence[str | None]:
    """Who gets jobs on the unit of this index."""
    unit = matrix.compute_units[index]
    choice.check_unit(f"matrix.compute_units[{index}]", unit)
    if not isinstance(matrix.devices, list):
        return choice.workers("matrix", matrix.devices, unit, matrix.tags)
    if matrix.tags:
        raise InvalidInput(
            "matrix.tags: are for devices of any name, and devices lists some; leave one out", field="matrix.tags"
        )
    for place, worker_id in enumerate(matrix.devices):
        choice.check_worker(f"matrix.devices[{place}]", worker_id)
    return matrix.devices


def _check_options(matrix: Matrix) -> None:
    plain = JobSpec()
    for index, option in enumerate(matrix.options):
        for name in _OF_THE_MATRIX:
            if getattr(option, name) != getattr(plain, name):
                field = f"matrix.options[{index}].{name}"
                raise InvalidInput(f"{field}: is said by the matrix itself; leave it out here", field=field)


class _Choice:
    """Chooses among the devices of a fleet."""

    def __init__(self, fleet: Sequence[Device], units: frozenset[str]) -> None:
        self._fleet = fleet
        self._by_id = {device.worker_id: device for device in fleet}
        self._units = units
        self._chosen: dict[tuple[Devices, str, tuple[str, ...]], Sequence[str | None]] = {}

    def unit_of(self, where: str, job: JobSpec) -> str:
        """The unit that a job names, or the first one of its device."""
        if job.compute_unit is not None:
            self.check_unit(f"{where}.compute_unit", job.compute_unit)
            return job.compute_unit
        if job.worker_id is None:
            text = f"{where}.compute_unit: is missing; a job names a compute unit, a worker_id or both"
            raise InvalidInput(text, field=f"{where}.compute_unit")
        device = self.check_worker(f"{where}.worker_id", job.worker_id)
        if not device.units:
            text = f"{where}.worker_id: {job.worker_id} offers no compute unit; name one in compute_unit"
            raise InvalidInput(text, field=f"{where}.worker_id")
        return device.units[0]

    def check_unit(self, field: str, unit: str) -> None:
        """InvalidInput for a unit that is not known."""
        if unit not in self._units:
            text = f"{field}: must be one of {', '.join(sorted(self._units))}, and is {unit[:60]!r}"
            raise InvalidInput(text, field=field)

    def check_worker(self, field: str, worker_id: str) -> Device:
        """The device; InvalidInput for one that is not known."""
        if worker_id not in self._by_id:
            text = f"{field}: there is no worker {worker_id[:60]!r}; GET /api/workers lists them"
            raise InvalidInput(text, field=field)
        return self._by_id[worker_id]

    def check_alone(self, where: str, job: JobSpec) -> None:
        """InvalidInput for a job that is for one device and says of others, too."""
        self.check_worker(f"{where}.worker_id", job.worker_id or "")
        for name, is_said in (("devices", job.devices != "any"), ("tags", bool(job.tags))):
            if is_said:
                text = f"{where}.{name}: is for jobs that name no worker_id; this one is for {job.worker_id} alone"
                raise InvalidInput(text, field=f"{where}.{name}")

    def workers(self, where: str, devices: Devices, unit: str, tags: Sequence[str]) -> Sequence[str | None]:
        """Who gets a job each: None is whichever device comes first."""
        if devices == "any":
            return (None,)
        key = (devices, unit, tuple(tags))
        if key not in self._chosen:
            self._chosen[key] = self._choose(where, devices, unit, tags)
        return self._chosen[key]

    def _choose(self, where: str, devices: int | str, unit: str, tags: Sequence[str]) -> Sequence[str]:
        able = [device for device in self._fleet if device.fits(unit, tags) and not device.is_offline]
        wanted = devices if isinstance(devices, int) else len(able)
        if len(able) < max(wanted, 1):
            having = f" with the tags {', '.join(tags)}" if tags else ""
            asked = f"{wanted:,} devices" if isinstance(devices, int) else "every device"
            raise InvalidInput(
                f"{where}.devices: asks for {asked} that can run {unit}{having}, and there are {len(able):,} now; "
                "GET /api/workers lists them",
                field=f"{where}.devices",
            )
        if wanted < len(able):
            able.sort(key=lambda device: (not device.is_free, not device.takes_jobs))
        return [device.worker_id for device in able[:wanted]]
