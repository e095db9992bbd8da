"""Several measurements as tables: subjects side by side, and batch sizes one below the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.table import Table

from daemons.cli.bench_details import items_per_second, ran_by
from daemons.cli.bench_plan import Plan
from daemons.cli.bench_run import Result
from daemons.cli.tables import figure, shown, spread
from daemons.core.stats import median_of, std_dev_of

SWEEP_CAPTION: Final = "median ± standard deviation; items/s: batch size x inferences per second"
ROUNDS_CAPTION: Final = "median ± standard deviation over rounds ({rounds}); peaks: loading / running"


def comparison_table(plan: Plan, results: Sequence[Result]) -> Table:
    """A line for each subject over its rounds, under what tells the subjects apart."""
    caption = ROUNDS_CAPTION.format(rounds=results[-1].case.round + 1)
    table = _table(plan, caption, ("load (ms)", "inference (ms)", "peak (MB)"))
    for subject, label in enumerate(plan.labels):
        mine = [result for result in results if result.case.subject == subject]
        if mine:
            table.add_row(shown(label), *_figures(over_rounds(mine)))
    return table


def _table(plan: Plan, caption: str, headings: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", caption=caption, caption_justify="left")
    table.add_column(plan.kind, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _figures(row: dict[str, Any]) -> tuple[str, ...]:
    if row["Status"] != "Complete":
        return (f"[red]{shown(row['Status'])}[/red]",)
    peaks = (figure(row.get(f"Peak{phase}RamUsage"), 3) for phase in ("Load", "Inference"))
    return spread(row, "Load"), spread(row, "Inference"), " / ".join(peaks)


def common_to_all(plan: Plan) -> str:
    """The model and the unit, where all have the same and their labels don't tell it; maybe nothing."""
    model = "" if "model" in plan.kind else plan.names[0]
    unit = "" if "unit" in plan.kind else f"on {plan.subjects[0].unit}"
    return shown(f"{model} {unit}".strip())


def engines_of(plan: Plan, results: Sequence[Result]) -> Iterator[str]:
    """What really ran each subject, where that differs."""
    ran = {result.case.subject: ran_by(result.row) for result in results if result.is_complete}
    if len(set(ran.values())) > 1:
        for subject, engine in sorted(ran.items()):
            yield f"{shown(plan.labels[subject])}: ran by {engine}"


def sweep_table(plan: Plan, results: Sequence[Result]) -> Table:
    """A line for each subject at each batch size, with its gain in throughput over the first size."""
    table = _table(plan, SWEEP_CAPTION, ("batch", "inference (ms)", "items/s", "gain", "peak (MB)"))
    if any(result.row.get("Verdict") for result in results):
        table.add_column("verdict")
    for subject, label in enumerate(plan.labels):
        base: float | None = None
        for batch in plan.batches:
            mine = [result for result in results if (result.case.subject, result.case.batch) == (subject, batch)]
            if mine:
                rate = typical([items_per_second(result) for result in mine])
                base = base or rate
                table.add_row(shown(label), *_sweep_cells(mine, rate, base))
    return table


def _sweep_cells(mine: Sequence[Result], rate: float | None, base: float | None) -> tuple[str, ...]:
    row = over_rounds(mine) if len(mine) > 1 else mine[0].row
    batch = str(mine[0].case.batch)
    if row["Status"] != "Complete":
        return (batch, f"[red]{shown(row['Status'])}[/red]")
    gain = f"{rate / base:.2f}x" if rate and base else "—"
    verdicts = sorted({shown(result.row["Verdict"]) for result in mine if result.row.get("Verdict")})
    peak = figure(row.get("PeakInferenceRamUsage"), 3)
    return (batch, spread(row, "Inference"), figure(rate), gain, peak, *([", ".join(verdicts)] if verdicts else []))


def over_rounds(mine: Sequence[Result]) -> dict[str, Any]:
    """One row for a subject's rounds: the median of each figure; deviations are those between the rounds."""
    complete = [result.row for result in mine if result.is_complete]
    if len(complete) < len(mine):
        return mine[-1].row
    row = dict(complete[0])
    for name in ("LoadMsMedian", "InferenceMsMedian", "PeakLoadRamUsage", "PeakInferenceRamUsage"):
        row[name] = typical([one.get(name) for one in complete])
    for phase in ("Load", "Inference"):
        row[f"{phase}MsStdDev"] = std_dev_of([one[f"{phase}MsMedian"] for one in complete])
    return row


def typical(figures: Sequence[float | None]) -> float | None:
    """The median of those that are known."""
    known = [one for one in figures if one is not None]
    return median_of(known) if known else None
