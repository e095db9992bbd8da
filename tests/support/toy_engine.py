# ruff: noqa: ARG002 (an engine is called with what the interface says)
"""An engine whose runtime is the toy package of tests.support.wheels. It says by its provider where that came from."""

from __future__ import annotations

from typing import Any

import bf_toy
import numpy as np

from daemons.worker.engines.base import Engine, Facts, Inputs, LoadedModel
from tests.support.wheels import TOY


class ToyModel(LoadedModel):
    """Runs in no time."""

    def facts(self):
        return Facts((f"{bf_toy.__file__} {np.__file__}",))

    def inputs(self, seed, wishes=None):
        return Inputs(None, "x: scalar")

    def run(self, feed: Any):
        return None


class ToyEngine(Engine):
    """Comes from the toy package."""

    name = "Toy"
    units = ("CPU (Toy)",)
    file_types = (".toy",)
    packages = (TOY,)

    def version(self):
        return f"{bf_toy.__version__}-4711-abcdef"

    def probe(self, unit):
        pass

    def load(self, path, unit, options):
        return ToyModel()
