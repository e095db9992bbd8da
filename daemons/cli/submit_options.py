"""The options of `benchfleet submit`, and what they take."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import click

from daemons.cli.completing import submittable, tag_names, unit_names, worker_names
from daemons.runtime.yaml_file import parse_scalar


class Pair(click.ParamType[tuple[str, Any]]):
    """``KEY=VALUE``; a VALUE that `is_yaml` is what YAML takes it for: a number, true or false, a list."""

    def __init__(self, name: str, *, is_yaml: bool) -> None:
        self.name = name
        self._is_yaml = is_yaml

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """Key and value."""
        key, equals, text = str(value).partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is not of the form {self.name}", param, ctx)
        return key, parse_scalar(text) if self._is_yaml else text


_OPTIONS: Final = (
    click.argument("model", metavar="MODEL", shell_complete=submittable),
    click.option(
        "--on",
        "units",
        multiple=True,
        metavar="UNIT",
        shell_complete=unit_names,
        help="A compute unit to run on; repeatable. Default: CPU (ONNX).",
    ),
    click.option("--every-device", is_flag=True, help="One job on each device that has the unit."),
    click.option(
        "--devices",
        type=click.IntRange(1, 100_000),
        metavar="N",
        help="One job on each of so many devices that have the unit.",
    ),
    click.option(
        "--worker",
        "workers",
        multiple=True,
        metavar="WORKER",
        shell_complete=worker_names,
        help="A device, by identifier or name; repeatable. Without --on: on its first unit.",
    ),
    click.option(
        "--tag",
        "tags",
        multiple=True,
        metavar="TAG",
        shell_complete=tag_names,
        help="Only on devices that have this tag; repeatable.",
    ),
    click.option("--runs", type=click.IntRange(1, 100_000), metavar="N", help="Timed runs of each job. Default: 10."),
    click.option("--priority", type=click.IntRange(-100, 100), metavar="N", help="Higher goes first. Default: 0."),
    click.option(
        "--set",
        "settings",
        type=Pair("FIELD=VALUE", is_yaml=True),
        multiple=True,
        metavar="FIELD=VALUE",
        help="Anything else that a job may say, as in a campaign file; repeatable.",
    ),
    click.option("--name", metavar="TEXT", help="What people call the campaign."),
    click.option(
        "--label",
        "labels",
        type=Pair("KEY=VALUE", is_yaml=False),
        multiple=True,
        metavar="KEY=VALUE",
        help="A label of the campaign; repeatable.",
    ),
    click.option("--wait", is_flag=True, help="Follow it until it has ended, and show its results."),
)


def submit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The model, where to run it and how, what to call the campaign, and whether to wait for it."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), command)
