"""`benchfleet info`: this device as it would register, and why a unit that one may expect is not offered."""

from __future__ import annotations

import socket
from typing import Any

import click
import msgspec
from rich.table import Table

from daemons.cli.asking import HELP
from daemons.cli.tables import make_console, shown
from daemons.core.units import STANDARD_UNITS
from daemons.runtime import boot
from daemons.runtime.logs import set_up_logs
from daemons.worker.host import device_facts
from daemons.worker.probe import Probe, probe_units


@click.command(context_settings=HELP, epilog="\b\nExamples:\n  benchfleet info\n  benchfleet info --json")
@click.option("--json", "as_json", is_flag=True, help="One JSON document: what a worker would send, and why not more.")
def info(as_json: bool) -> int:
    """Show this device as it would register: what it is, and the compute units that really ran on it.

    Each unit is tried with a tiny model in a process of its own.
    """
    set_up_logs("warning")
    return boot.run(lambda: _show(as_json=as_json))


async def _show(*, as_json: bool) -> None:
    probe = await probe_units()
    facts = msgspec.to_builtins(msgspec.structs.replace(device_facts(), engines=probe.engines))
    if as_json:
        document = {
            "device_name": socket.gethostname(),
            "capabilities": probe.units,
            "device_info": facts,
            "not_offered": probe.problems,
        }
        click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))
        return
    console = make_console()
    console.print(_facts_table(facts, probe))
    console.print(_units_table(probe))


def _facts_table(facts: dict[str, Any], probe: Probe) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    rows = {
        "Device": socket.gethostname(),
        "SoC": facts.get("Soc"),
        "RAM": f"{facts['Ram']} GB" if facts.get("Ram") else None,
        "System": " ".join(filter(None, (facts.get("DeviceOs"), facts.get("DeviceOsVersion")))),
        "Model": facts.get("HardwareModel"),
        "Cores": f"{facts.get('PhysicalCores')} physical, {facts.get('LogicalCores')} logical",
        "GPUs": "; ".join(facts.get("Gpus", ())),
        "Engines": ", ".join(f"{name} {version}" for name, version in probe.engines.items()),
    }
    for name, value in rows.items():
        if value:
            table.add_row(f"[bold]{name}[/bold]", shown(value))
    return table


def _units_table(probe: Probe) -> Table:
    table = Table(title="Compute units", title_justify="left", box=None, show_header=False, pad_edge=False)
    for unit in (*probe.units, *(unit for unit in STANDARD_UNITS if unit not in probe.units)):
        if unit in probe.units:
            table.add_row(shown(unit), "[green]✓ offered[/green]: a model has run on it")
        else:
            table.add_row(shown(unit), f"✗ not offered: {shown(probe.problems.get(unit, 'no engine here serves it'))}")
    for name, problem in probe.problems.items():
        if name not in STANDARD_UNITS:
            table.add_row(shown(name), f"[yellow]! {shown(problem)}[/yellow]")
    return table
