"""What `benchfleet bench` says in the end: to people in tables and words, to programs as JSON or CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from daemons.cli.bench_compare import INFERENCE, METRICS, Versus, compare_all
from daemons.cli.bench_plan import Plan
from daemons.cli.bench_run import Result
from daemons.cli.histogram import histogram
from daemons.cli.tables import figure, remarks, results_table, shown, spread
from daemons.core.results import COLUMNS
from daemons.core.stats import median_of, std_dev_of

MOST_BARS: Final = 40
SWEEP_CAPTION: Final = "median ± standard deviation; items/s: batch size x inferences per second"
ROUNDS_CAPTION: Final = "median ± standard deviation over rounds ({rounds}); peaks: loading / running"
_NUMBER: Final = re.compile(r"\d[\d.,]*")


def document(plan: Plan, results: Sequence[Result]) -> Any:
    """For programs: an object for one measurement, a list for several, both for a comparison."""
    rows = [_json_row(plan, result) for result in results]
    if plan.is_comparison:
        return {"results": rows, "comparisons": [versus.document for versus in compare_all(plan, results)]}
    return rows[0] if plan.is_single else rows


def _json_row(plan: Plan, result: Result) -> dict[str, Any]:
    """The CSV's columns in their order, then what has no column."""
    row = {name: result.row[name] for name in COLUMNS if name in result.row}
    if result.case.batch is not None:
        row |= {"BatchSize": result.case.batch, "ItemsPerSecond": items_per_second(result)}
    if plan.is_comparison:
        row["Round"] = result.case.round + 1
    return row | result.evidence


def print_report(console: Console, plan: Plan, results: Sequence[Result]) -> None:
    """For people: the device, the figures, what they mean, and what may have disturbed them."""
    if not results:
        return
    row = results[0].row
    console.print(f"{shown(row['DeviceName'])}: {shown(row['Soc'])}, {shown(row['Ram'])} GB, {shown(row['DeviceOs'])}")
    if plan.is_single:
        _print_one(console, results[0])
    elif len(plan.batches) > 1:
        console.print(sweep_table(plan, results))
    else:
        rows = [_over_rounds(mine) for mine in _by_model(plan, results) if mine]
        rounds = results[-1].case.round + 1
        console.print(results_table(rows, ROUNDS_CAPTION.format(rounds=rounds)))
    for line in _sentences(plan, results) if plan.is_comparison else ():
        console.print(line)
    for line in notes(plan, results):
        console.print(f"[yellow]note[/yellow] {line}")


def _print_one(console: Console, result: Result) -> None:
    console.print(results_table([result.row]))
    if result.is_complete:
        for line in (*_details(result), *_drawn(console, result)):
            console.print(f"  {line}")


def _details(result: Result) -> Iterator[str]:
    """What the table has no room for, in words."""
    row = result.row
    if row.get("Verdict"):
        yield f"verdict: {_coloured(row['Verdict'])}"
        yield from (f"  because {shown(reason)}" for reason in row.get("VerdictReasons") or ())
    low, high = row.get("InferenceMsMedianLow"), row.get("InferenceMsMedianHigh")
    interval = f", 95 % sure {figure(low)} to {figure(high)} ms" if low is not None else ""
    yield f"inference: median of {row['InferenceRuns']} runs after {row['WarmupRuns']} to warm up{interval}"
    tail = [f"p{percent} {figure(row[name])}" for percent in (90, 95, 99) if (name := f"InferenceMsP{percent}") in row]
    if tail:
        ends = f"{figure(row['InferenceMsMin'])} to {figure(row['InferenceMsMax'])} ms in all"
        yield f"inference: {', '.join(tail)} ms; {ends}"
    yield f"inference: the very first took {figure(row.get('InferenceMsFirst'))} ms"
    items = items_per_second(result)
    at_batch = f", {figure(items)} items per second in batches of {result.case.batch}" if items is not None else ""
    yield f"inference: {figure(row.get('InferencesPerSecond'))} per second{at_batch}"
    yield f"load: median of {row['LoadRuns']}; the first took {figure(row.get('LoadMsFirst'))} ms"
    yield f"memory: {figure(row.get('BaselineRamUsage'))} MB of the peaks were in use before the model"
    engine = f"{row.get('Engine')} {row.get('EngineVersion')} on {row.get('ExecutionProvider')}"
    yield f"ran by {shown(engine)}, {row.get('Threads')} threads"
    yield f"inputs: {shown(row.get('InputShapes'))}"


def _coloured(verdict: str) -> str:
    colour = {"stable": "green", "noisy": "yellow"}.get(verdict, "red")
    return f"[{colour}]{shown(verdict)}[/{colour}]"


def _drawn(console: Console, result: Result) -> Iterator[str]:
    """The shape of the samples, on a terminal that can show it."""
    if not console.is_terminal or not console.encoding.startswith("utf"):
        return
    samples = result.evidence.get("Samples", {}).get("InferenceMs", [])
    drawn = histogram(samples, min(MOST_BARS, console.width - MOST_BARS))
    if drawn is None:
        return
    yield f"{figure(drawn.low)} ms [cyan]{drawn.line}[/cyan] {figure(drawn.high)} ms" + (
        f", {drawn.beyond} beyond" if drawn.beyond else ""
    )


def items_per_second(result: Result) -> float | None:
    """Throughput: the batch size times inferences per second; None unless the model took the batch size."""
    rate, batch = result.row.get("InferencesPerSecond"), result.case.batch
    return None if rate is None or batch is None or not took_batch(result) else batch * rate


def took_batch(result: Result) -> bool:
    """Whether an input begins with the batch size: a model may fix the dimension, and is measured as it is then."""
    sizes = re.findall(r": (?:a sequence of one )?(\d+)(?=[x ])", str(result.row.get("InputShapes", "")))
    return str(result.case.batch) in sizes


def sweep_table(plan: Plan, results: Sequence[Result]) -> Table:
    """A line for each model at each batch size, with its gain in throughput over the first size."""
    table = Table(box=None, pad_edge=False, header_style="bold", caption=SWEEP_CAPTION, caption_justify="left")
    table.add_column("model", overflow="fold")
    for heading in ("batch", "inference (ms)", "items/s", "gain", "peak (MB)"):
        table.add_column(heading, justify="right", no_wrap=True)
    if any(result.row.get("Verdict") for result in results):
        table.add_column("verdict")
    for model in range(len(plan.models)):
        base: float | None = None
        for batch in plan.batches:
            mine = [result for result in results if (result.case.model, result.case.batch) == (model, batch)]
            if mine:
                rate = _typical([items_per_second(result) for result in mine])
                base = base or rate
                table.add_row(*_sweep_cells(mine, rate, base))
    return table


def _sweep_cells(mine: Sequence[Result], rate: float | None, base: float | None) -> tuple[str, ...]:
    row = _over_rounds(mine) if len(mine) > 1 else mine[0].row
    head = (shown(row["FileName"]), str(mine[0].case.batch))
    if row["Status"] != "Complete":
        return (*head, f"[red]{shown(row['Status'])}[/red]")
    gain = f"{rate / base:.2f}x" if rate and base else "—"
    verdicts = sorted({shown(result.row["Verdict"]) for result in mine if result.row.get("Verdict")})
    peak = figure(row.get("PeakInferenceRamUsage"), 3)
    return (*head, spread(row, "Inference"), figure(rate), gain, peak, *([", ".join(verdicts)] if verdicts else []))


def _by_model(plan: Plan, results: Sequence[Result]) -> list[list[Result]]:
    return [[result for result in results if result.case.model == model] for model in range(len(plan.models))]


def _over_rounds(mine: Sequence[Result]) -> dict[str, Any]:
    """One row for a model's rounds: the median of each figure; deviations are those between the rounds."""
    complete = [result.row for result in mine if result.is_complete]
    if len(complete) < len(mine):
        return mine[-1].row
    row = dict(complete[0])
    for name in ("LoadMsMedian", "InferenceMsMedian", "PeakLoadRamUsage", "PeakInferenceRamUsage"):
        row[name] = _typical([one.get(name) for one in complete])
    for phase in ("Load", "Inference"):
        row[f"{phase}MsStdDev"] = std_dev_of([one[f"{phase}MsMedian"] for one in complete])
    return row


def _typical(figures: Sequence[float | None]) -> float | None:
    known = [one for one in figures if one is not None]
    return median_of(known) if known else None


def _sentences(plan: Plan, results: Sequence[Result]) -> Iterator[str]:
    """What the comparison says, under a heading for each batch size of a sweep."""
    all_of_them = compare_all(plan, results)
    for batch in plan.batches:
        if len(plan.batches) > 1:
            yield f"at batch size {batch}:"
        at_batch = [one for one in all_of_them if one.batch == batch]
        for head in plan.labels[1:]:
            mine = [one for one in at_batch if one.head == head]
            nothing = f"{head} can't be compared with {plan.labels[0]}: no round has figures of both"
            yield from _about(mine) if mine else [shown(nothing)]


def _about(versus: Sequence[Versus]) -> Iterator[str]:
    """One model against the first: the time of an inference in a sentence, the rest on a line."""
    for one in versus:
        if one.metric == INFERENCE:
            text = shown(one.sentence)
            yield f"[bold]{text}[/bold]" if one.comparison.differs else text
    rest = [f"{METRICS[one.metric][0]} {one.ratio}x ({one.interval})" for one in versus if one.metric != INFERENCE]
    if rest:
        yield f"  {', '.join(rest)}"


def notes(plan: Plan, results: Sequence[Result]) -> list[str]:
    """What failed, what may have disturbed the figures, and which batch sizes were not taken."""
    said = remarks([{**result.row, "Warnings": (), "FileName": _with_batch(result)} for result in results])
    if plan.is_single:
        said += [shown(warning) for result in results for warning in _further_warnings(result.row)]
    else:
        said += _gathered([doubt for result in results for doubt in _doubts(result.row)], len(results))
    return said + [
        f"{shown(result.row['FileName'])} did not take the batch size {result.case.batch}; "
        f"its inputs are {shown(result.row.get('InputShapes'))}"
        for result in results
        if result.is_complete and result.case.batch is not None and result.case.round == 0 and not took_batch(result)
    ]


def _with_batch(result: Result) -> str:
    batch = result.case.batch
    return str(result.row["FileName"]) + (f" at batch size {batch}" if batch is not None else "")


def _doubts(row: dict[str, Any]) -> list[str]:
    """Why a measurement is not stable, and its other warnings."""
    verdict = row.get("Verdict")
    reasons = row.get("VerdictReasons") or () if verdict in {"noisy", "invalid"} else ()
    return [f"{_coloured(str(verdict))}: {shown(one)}" for one in reasons] + [*map(shown, _further_warnings(row))]


def _further_warnings(row: dict[str, Any]) -> list[str]:
    """Warnings that the verdict's reasons don't say as well."""
    reasons = row.get("VerdictReasons") or ()
    return [one for one in row.get("Warnings") or () if not any(reason.startswith(one) for reason in reasons)]


def _gathered(lines: Sequence[str], size: int) -> list[str]:
    """Lines that differ in nothing but their numbers are one line, with how many measurements it is true of."""
    kinds: dict[str, list[str]] = {}
    for line in lines:
        kinds.setdefault(_NUMBER.sub("0", line), []).append(line)
    if size == 1:
        return list(lines)
    return [f"{len(alike)} of {size} measurements: {alike[0]}" for alike in kinds.values()]
