"""Which engines a plan needs, and whether they can be had on this machine: found out before anything is measured."""

from __future__ import annotations

import functools
from collections.abc import Callable

from daemons.cli.bench_plan import Case, Plan, Subject
from daemons.core.errors import BenchfleetError, InvalidInput
from daemons.core.models import Progress
from daemons.core.units import CPU_ONNX
from daemons.runtime.folders import state_folder
from daemons.worker.bench.runner import Bench
from daemons.worker.engines.serving import ONNX_RUNTIME_ALONE, NotItsPackage, NotServed, Serving, engine_for
from daemons.worker.environments import Environments, NotPrepared
from daemons.worker.probe import probe_units


async def runner_for(plan: Plan, say: Callable[[str], object]) -> Bench:
    """What measures the plan, with everything that it needs at hand. `say` is told what takes so long.

    InvalidInput if an `--engine-version` can't be one of a unit's engine; BenchfleetError if a unit doesn't work here,
    runs no such models, or if a version can't be installed.
    """
    serving, problems = ONNX_RUNTIME_ALONE, dict[str, str]()
    if any(needs_probe(subject) for subject in plan.subjects):
        say("trying this machine's compute units")
        probe = await probe_units()
        serving, problems = probe.serving, probe.problems
    for subject in plan.subjects:
        require_served(subject, serving, problems)
    runner = Bench(serving, environments=own_environments(plan))
    try:
        for place, subject in enumerate(plan.subjects):
            telling = functools.partial(_tell_of, subject, say)
            await runner.equip(plan.request(Case(place, None, 0)), telling)
    except NotPrepared as error:
        raise BenchfleetError(str(error)) from error
    return runner


def _tell_of(subject: Subject, say: Callable[[str], object], _: Progress) -> None:
    say(f"installing {subject.version}")


def needs_probe(subject: Subject) -> bool:
    """Whether it takes a look at the installed engines to know which one runs it, and whether it works."""
    (always_there,) = ONNX_RUNTIME_ALONE[CPU_ONNX]
    return subject.unit != CPU_ONNX or not always_there.claims(subject.model.name)


def require_served(subject: Subject, serving: Serving, problems: dict[str, str]) -> None:
    """Return if an engine here runs the subject, and comes from the package whose version was asked for."""
    package = None if subject.version is None else subject.version.partition("==")[0]
    if subject.unit not in serving and subject.unit in problems:
        why = problems[subject.unit]
        named = "" if why.startswith(subject.unit) else f"{subject.unit}: "
        raise BenchfleetError(f"nothing can be measured on a unit that this machine lacks: {named}{why}")
    try:
        engine_for(serving, subject.unit, subject.model.name, package)
    except NotItsPackage as error:
        raise InvalidInput(f"--engine-version {subject.version}: {error}") from error
    except NotServed as error:
        raise BenchfleetError(str(error)) from error


def own_environments(plan: Plan) -> Environments | None:
    """Where this user's other versions of engines are kept; any package may be installed on one's own machine."""
    if all(subject.version is None for subject in plan.subjects):
        return None
    return Environments(state_folder("bench") / "engines", allowed=None)
