"""What `benchfleet bench` says in the end: to people in tables and words, to programs as JSON or CSV."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.console import Console

from daemons.cli.bench_compare import INFERENCE, METRICS, Versus, compare_all
from daemons.cli.bench_details import coloured, details, drawn, items_per_second, took_batch
from daemons.cli.bench_plan import Plan
from daemons.cli.bench_run import Result
from daemons.cli.bench_tables import common_to_all, comparison_table, engines_of, sweep_table
from daemons.cli.tables import results_table, shown
from daemons.core.results import COLUMNS
from daemons.worker.engines.onnx_units import AS_WRITTEN

FULL: Final = frozenset({AS_WRITTEN, "float32", "float64"})
"""Precisions in which a model of the usual type computes the same."""
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
        row |= {"Subject": plan.labels[result.case.subject], "Round": result.case.round + 1}
    return row | result.evidence


def print_report(console: Console, plan: Plan, results: Sequence[Result]) -> None:
    """For people: the device, the figures, what they mean, and what may have disturbed them."""
    if not results:
        return
    row = results[0].row
    console.print(f"{shown(row['DeviceName'])}: {shown(row['Soc'])}, {shown(row['Ram'])} GB, {shown(row['DeviceOs'])}")
    if plan.is_single:
        _print_one(console, results[0])
    else:
        if common := common_to_all(plan):
            console.print(common)
        console.print(sweep_table(plan, results) if len(plan.batches) > 1 else comparison_table(plan, results))
    if plan.is_comparison:
        for line in (*engines_of(plan, results), *_sentences(plan, results)):
            console.print(line)
    for line in notes(plan, results):
        console.print(f"[yellow]note[/yellow] {line}")


def _print_one(console: Console, result: Result) -> None:
    console.print(results_table([result.row]))
    if result.is_complete:
        for line in (*details(result), *drawn(console, result)):
            console.print(f"  {line}")


def _sentences(plan: Plan, results: Sequence[Result]) -> Iterator[str]:
    """What the comparison says, under a heading for each batch size of a sweep."""
    all_of_them = compare_all(plan, results)
    for batch in plan.batches:
        if len(plan.batches) > 1:
            yield f"at batch size {batch}:"
        at_batch = [one for one in all_of_them if one.batch == batch]
        for base, head in ((plan.labels[base], plan.labels[head]) for base, head in plan.pairs):
            mine = [one for one in at_batch if (one.base, one.head) == (base, head)]
            nothing = f"{head} can't be compared with {base}: no round has figures of both"
            yield from _about(mine) if mine else [shown(nothing)]


def _about(versus: Sequence[Versus]) -> Iterator[str]:
    """One subject against another: the time of an inference in a sentence, the rest on a line."""
    for one in versus:
        if one.metric == INFERENCE:
            text = shown(one.sentence)
            yield f"[bold]{text}[/bold]" if one.comparison.differs else text
    rest = [f"{METRICS[one.metric][0]} {one.ratio}x ({one.interval})" for one in versus if one.metric != INFERENCE]
    if rest:
        yield f"  {', '.join(rest)}"


def notes(plan: Plan, results: Sequence[Result]) -> list[str]:
    """What failed, what makes a comparison one of two computations, what may have disturbed it, what was not done."""
    said = [f"{_named(plan, result)}: {shown(result.row['Remark'])}" for result in results if result.row.get("Remark")]
    said += _differing_precision(plan, results)
    if plan.is_single:
        said += [shown(warning) for result in results for warning in _further_warnings(result.row)]
    else:
        said += _gathered(plan, results)
    return said + [
        f"{shown(plan.labels[result.case.subject])} did not take the batch size {result.case.batch}; "
        f"its inputs are {shown(result.row.get('InputShapes'))}"
        for result in results
        if result.is_complete and result.case.batch is not None and result.case.round == 0 and not took_batch(result)
    ]


def _named(plan: Plan, result: Result) -> str:
    """The subject, its batch size and its unit."""
    case, label = result.case, plan.labels[result.case.subject]
    at_batch = f" at batch size {case.batch}" if case.batch is not None else ""
    unit = plan.subjects[case.subject].unit
    return shown(f"{label}{at_batch}" + (f" on {unit}" if unit not in label else ""))


def _differing_precision(plan: Plan, results: Sequence[Result]) -> list[str]:
    """Subjects that compute in different types are told so: their times compare two computations."""
    known = {
        plan.labels[result.case.subject]: str(result.row["Precision"])
        for result in results
        if result.row.get("Precision") is not None
    }
    kinds = {"full" if precision in FULL else precision for precision in known.values()}
    if len(kinds) < 2:
        return []
    told = ", ".join(f"{label}: {precision}" for label, precision in known.items())
    return [shown(f"different precisions make this a comparison of two computations ({told}); see --precision")]


def _doubts(row: dict[str, Any]) -> list[str]:
    """Why a measurement is not stable, and its other warnings."""
    verdict = row.get("Verdict")
    reasons = row.get("VerdictReasons") or () if verdict in {"noisy", "invalid"} else ()
    return [f"{coloured(str(verdict))}: {shown(one)}" for one in reasons] + [*map(shown, _further_warnings(row))]


def _further_warnings(row: dict[str, Any]) -> list[str]:
    """Warnings that the verdict's reasons don't say as well."""
    reasons = row.get("VerdictReasons") or ()
    return [one for one in row.get("Warnings") or () if not any(reason.startswith(one) for reason in reasons)]


def _gathered(plan: Plan, results: Sequence[Result]) -> list[str]:
    """Doubts that differ in nothing but their numbers are one line, with how many measurements it is true of.

    Where they are all of one subject among several, it is named.
    """
    kinds: dict[str, list[tuple[int, str]]] = {}
    for result in results:
        for doubt in _doubts(result.row):
            kinds.setdefault(_NUMBER.sub("0", doubt), []).append((result.case.subject, doubt))
    sizes = Counter(result.case.subject for result in results)
    return [_gathered_line(plan, alike, sizes) for alike in kinds.values()]


def _gathered_line(plan: Plan, alike: Sequence[tuple[int, str]], sizes: Counter[int]) -> str:
    subjects, (_, first) = {subject for subject, _ in alike}, alike[0]
    if sizes.total() == 1:
        return first
    if len(subjects) > 1 or not plan.is_comparison:
        return f"{len(alike)} of {sizes.total()} measurements: {first}"
    (subject,) = subjects
    return f"{len(alike)} of {sizes[subject]} measurements of {shown(plan.labels[subject])}: {first}"
