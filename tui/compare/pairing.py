"""Which rows of two campaigns belong together: those of the same device, unit, and options that vary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from daemons.core.stats import median_of
from daemons.core.urls import model_file_name
from tui.compare.change import Change, Median, change_of, hull_of, middle_of

Record = Mapping[str, Any]

MODEL: Final = "model"
_NOT_COMPARED: Final = frozenset({"compute_unit", "worker_id", "tags", "devices", "priority", "timeout_seconds"})
"""What decides where and when a job runs, and not how it is measured."""
_CONDITIONS: Final = (
    ("EngineVersion", "engine version"),
    ("ExecutionProvider", "ran on"),
    ("GpuDriver", "GPU driver"),
    ("DeviceOs", "system"),
)

Settings = dict[str, str]


class Measured(NamedTuple):
    """A job that has ended: what it was asked, and its row."""

    job_id: str
    settings: Settings
    """Model and options, as text; what is not said is left out."""
    record: Record


class Side(NamedTuple):
    """What one campaign has measured of a device, unit and options."""

    jobs: tuple[Measured, ...]

    @property
    def medians(self) -> list[Median]:
        """Of the jobs that have figures: inference, in ms."""
        records = [one.record for one in self.jobs if one.record.get("InferenceMsMedian") is not None]
        return [
            Median(one["InferenceMsMedian"], one.get("InferenceMsMedianLow"), one.get("InferenceMsMedianHigh"))
            for one in records
        ]

    @property
    def median_ms(self) -> float | None:
        """What stands for all of its jobs."""
        return middle_of(self.medians) if self.medians else None

    @property
    def interval_ms(self) -> tuple[float | None, float | None]:
        """Of the median, by order statistics."""
        return hull_of(self.medians)

    def figure(self, name: str) -> float | None:
        """The median of a column over its jobs."""
        values = [one.record[name] for one in self.jobs if one.record.get(name) is not None]
        return median_of(values) if values else None

    @property
    def doubt(self) -> str:
        """The worst that is said of its figures: why there are none, `invalid`, `noisy`, or nothing."""
        if not self.medians:
            remark = next((one.record["Remark"] for one in self.jobs if one.record.get("Remark")), "")
            status = str(self.jobs[0].record.get("Status", "")).lower() if self.jobs else "nothing"
            return f"{status}: {remark}" if remark else status
        verdicts = {one.record.get("Verdict") for one in self.jobs}
        return next((word for word in ("invalid", "noisy") if word in verdicts), "")


class Pair(NamedTuple):
    """What two campaigns have measured of the same thing; a side without jobs is not there."""

    key: str
    device: str
    unit: str
    settings: Settings
    """Those in which a campaign varies."""
    base: Side
    head: Side

    @property
    def change(self) -> Change | None:
        """Of the median inference; None where a side has no figure, or one that means nothing."""
        if "invalid" in (self.base.doubt, self.head.doubt):
            return None
        return change_of(self.base.medians, self.head.medians)

    @property
    def word(self) -> str:
        """What has become of it."""
        if not self.head.jobs:
            return "only base"
        if not self.base.jobs:
            return "only head"
        change = self.change
        if change is None or change.differs is None:
            return "unclear"
        return "noise" if not change.differs else "slower" if change.ratio > 1 else "faster"


class Comparison(NamedTuple):
    """Two campaigns, compared."""

    pairs: dict[str, Pair]
    differences: tuple[tuple[str, str, str], ...]
    """What is one thing in all of the base and another in all of the head: its name, and both."""

    def counts(self) -> dict[str, int]:
        """How many pairs have which word."""
        found: dict[str, int] = {}
        for pair in self.pairs.values():
            found[pair.word] = found.get(pair.word, 0) + 1
        return found


def measured_of(model_url: str, jobs: Iterable[Mapping[str, Any]], records: Iterable[Record]) -> list[Measured]:
    """The rows of a campaign about `model_url`, each with what its job asked for."""
    asked = {job["job_id"]: job.get("options") or {} for job in jobs}
    return [
        Measured(str(one["JobId"]), _settings(model_url, asked[one["JobId"]]), one)
        for one in records
        if one["JobId"] in asked
    ]


def compare(base: Sequence[Measured], head: Sequence[Measured]) -> Comparison:
    """Pair by pair, in the order of the base; what only the head has comes last."""
    varying = sorted(_varying(base) | _varying(head))
    sides: dict[str, tuple[list[Measured], list[Measured]]] = {}
    for place, jobs in enumerate((base, head)):
        for one in jobs:
            sides.setdefault(_key(one, varying), ([], []))[place].append(one)
    pairs = {key: _pair(key, varying, *found) for key, found in sides.items()}
    return Comparison(pairs, tuple(_differences(base, head, varying)))


def _settings(model_url: str, options: Mapping[str, Any]) -> Settings:
    said = {name: _text(value) for name, value in options.items() if name not in _NOT_COMPARED | {"model_url"}}
    return {MODEL: model_file_name(options.get("model_url") or model_url)} | said


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _varying(jobs: Sequence[Measured]) -> set[str]:
    names = {name for one in jobs for name in one.settings}
    return {name for name in names if len({one.settings.get(name) for one in jobs}) > 1}


def _key(one: Measured, varying: Sequence[str]) -> str:
    record = one.record
    parts = [record.get("WorkerId") or record.get("DeviceName"), record.get("ComputeUnits")]
    return msgspec.json.encode([*parts, *(one.settings.get(name) for name in varying)]).decode()


def _pair(key: str, varying: Sequence[str], base: Sequence[Measured], head: Sequence[Measured]) -> Pair:
    newest = (head or base)[-1]
    settings = {name: newest.settings.get(name, "default") for name in varying}
    device, unit = newest.record.get("DeviceName") or "", newest.record.get("ComputeUnits") or ""
    return Pair(key, str(device), str(unit), settings, Side(tuple(base)), Side(tuple(head)))


def _differences(
    base: Sequence[Measured], head: Sequence[Measured], varying: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    if not base or not head:
        return
    names = {name for one in (*base, *head) for name in one.settings} - set(varying)
    for name in sorted(names, key=lambda name: (name != MODEL, name)):
        before, after = (side[0].settings.get(name, "default") for side in (base, head))
        if before != after:
            yield name.replace("_", " "), before, after
    yield from _condition_differences(base, head)


def _condition_differences(base: Sequence[Measured], head: Sequence[Measured]) -> Iterator[tuple[str, str, str]]:
    before, after = _only(base, "ModelHash"), _only(head, "ModelHash")
    if before and after and before != after:
        yield "model's bytes", before[:12], after[:12]
    for column, name in _CONDITIONS:
        before, after = _only(base, column), _only(head, column)
        if before and after and before != after:
            yield name, before, after


def _only(jobs: Sequence[Measured], column: str) -> str | None:
    """The one value that a column has wherever it has any."""
    found = {str(one.record[column]) for one in jobs if one.record.get(column) is not None}
    return found.pop() if len(found) == 1 else None
