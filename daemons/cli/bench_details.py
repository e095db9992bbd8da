"""What `benchfleet bench` says of one measurement, beyond its line in the table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.console import Console

from daemons.cli.bench_run import Result
from daemons.cli.histogram import histogram
from daemons.cli.tables import figure, shown

MOST_BARS: Final = 40


def details(result: Result) -> Iterator[str]:
    """What the table has no room for, in words."""
    row = result.row
    yield from _verdict(row)
    yield from _inference(result)
    yield f"load: median of {row['LoadRuns']}; the first took {figure(row.get('LoadMsFirst'))} ms{_cache(row)}"
    yield f"memory: {figure(row.get('BaselineRamUsage'))} MB of the peaks were in use before the model"
    yield f"ran by {ran_by(row)}, {row.get('Threads')} threads"
    yield from _placement(row)
    yield from _gpu(row)
    yield f"inputs: {shown(row.get('InputShapes'))}"
    yield from _outputs(row)


def ran_by(row: Mapping[str, Any]) -> str:
    """Engine, its version, and where it ran."""
    return shown(f"{row.get('Engine')} {row.get('EngineVersion')} on {row.get('ExecutionProvider')}")


def coloured(verdict: str) -> str:
    """A verdict, in its colour."""
    colour = {"stable": "green", "noisy": "yellow"}.get(verdict, "red")
    return f"[{colour}]{shown(verdict)}[/{colour}]"


def _verdict(row: Mapping[str, Any]) -> Iterator[str]:
    if row.get("Verdict"):
        yield f"verdict: {coloured(row['Verdict'])}"
        yield from (f"  because {shown(reason)}" for reason in row.get("VerdictReasons") or ())


def _inference(result: Result) -> Iterator[str]:
    row = result.row
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


def _cache(row: Mapping[str, Any]) -> str:
    cache = row.get("CompileCache")
    return "" if cache is None else f", its compile cache was {shown(cache)}"


def _placement(row: Mapping[str, Any]) -> Iterator[str]:
    """The share of the graph that the unit's own provider took, and what it computed in."""
    share, nodes, precision = row.get("ProviderShare"), row.get("NodePlacement"), row.get("Precision")
    told = [] if precision is None else [f"precision: {shown(precision)}"]
    if share is not None:
        provider = str(row.get("ExecutionProvider", "")).split(", ")[0]
        several = f" ({shown(nodes)})" if nodes is not None and ", " in nodes else ""
        told.insert(0, f"placement: {_per_cent(share)} of the nodes on {shown(provider)}{several}")
    if told:
        yield "; ".join(told)
    if row.get("Transfer") is not None:
        how = {"included": "part of every run", "excluded": "left out of the runs"}[row["Transfer"]]
        yield f"transfer to and from the unit's own memory: {how}"


def _per_cent(share: float) -> str:
    """Never rounded to all or to nothing."""
    return f"{share:.0%}" if share in {0.0, 1.0} else f"{share:.1%}"


def _gpu(row: Mapping[str, Any]) -> Iterator[str]:
    if row.get("GpuName") is not None:
        yield f"gpu: {shown(row['GpuName'])}, driver {shown(row.get('GpuDriver'))}"
    if row.get("GpuMemoryTotal") is not None:
        load, runs = figure(row.get("GpuMemoryAfterLoad")), figure(row.get("GpuMemoryAfterInference"))
        yield f"gpu: {load} MB in use after loading, {runs} after the runs, of {figure(row['GpuMemoryTotal'])}"
    if row.get("GpuClockMhz") is not None:
        held = row.get("GpuThrottleReasons")
        throttled = "" if held is None else f", throttled: {shown(held)}"
        yield f"gpu: {figure(row.get('GpuUtilization'))} % busy at {figure(row['GpuClockMhz'])} MHz{throttled}"


def _outputs(row: Mapping[str, Any]) -> Iterator[str]:
    """How far the outputs were from the reference's, where they were compared."""
    if row.get("OutputReference") is None:
        return
    yield f"outputs: compared with {shown(row['OutputReference'])}"
    absolute, relative, psnr = (row.get(f"Output{name}") for name in ("MaxAbsDiff", "MaxRelDiff", "Psnr"))
    if absolute == 0:
        yield "outputs: identical"
    elif absolute is not None:
        ratio = f", PSNR {psnr:.1f} dB" if psnr is not None else ""
        yield f"outputs: at most {absolute:.2g} off, {relative or 0:.2g} of the value{ratio}"


def drawn(console: Console, result: Result) -> Iterator[str]:
    """The shape of the samples, on a terminal that can show it."""
    if not console.is_terminal or not console.encoding.startswith("utf"):
        return
    samples = result.evidence.get("Samples", {}).get("InferenceMs", [])
    shape = histogram(samples, min(MOST_BARS, console.width - MOST_BARS))
    if shape is None:
        return
    yield f"{figure(shape.low)} ms [cyan]{shape.line}[/cyan] {figure(shape.high)} ms" + (
        f", {shape.beyond} beyond" if shape.beyond else ""
    )


def items_per_second(result: Result) -> float | None:
    """Throughput: the batch size times inferences per second; None unless the model took the batch size."""
    rate, batch = result.row.get("InferencesPerSecond"), result.case.batch
    return None if rate is None or batch is None or not took_batch(result) else batch * rate


def took_batch(result: Result) -> bool:
    """Whether an input begins with the batch size: a model may fix the dimension, and is measured as it is then."""
    sizes = re.findall(r": (?:a sequence of one )?(\d+)(?=[x ])", str(result.row.get("InputShapes", "")))
    return str(result.case.batch) in sizes
