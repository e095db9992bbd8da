"""Inputs and outputs that lie in a provider's own memory, so that a run moves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnxruntime as ort

from daemons.worker.bench.inputs import Value
from daemons.worker.bench.values import KINDS
from daemons.worker.engines.base import EngineError


class Bound:
    """Inputs that were put into `memory`, and outputs that are made there."""

    def __init__(self, session: Any, values: Mapping[str, Value], memory: str) -> None:
        self._binding = session.io_binding()
        # The runtime may keep no reference of its own to what it was given.
        self._boxes = {name: ort.OrtValue.ortvalue_from_numpy(one.array, memory, 0) for name, one in values.items()}
        for name, box in self._boxes.items():
            self._binding.bind_ortvalue_input(name, box)
        for output in session.get_outputs():
            self._binding.bind_output(output.name, memory, 0)
        self._binding.synchronize_inputs()

    def run(self, session: Any) -> None:
        """One inference. When it returns, the outputs are there: in the provider's memory."""
        session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()

    def outputs(self) -> list[Any]:
        """What the last inference gave, brought here as numpy arrays."""
        copies: list[Any] = self._binding.copy_outputs_to_cpu()
        return copies


def require_bindable(session: Any) -> None:
    """EngineError names an input or output that can't lie in a provider's memory."""
    for kind, values in (("input", session.get_inputs()), ("output", session.get_outputs())):
        for one in values:
            if not is_bindable(one.type):
                raise EngineError(
                    f"io_binding: the {kind} {one.name} is {one.type}; ONNX Runtime's Python interface can put only "
                    "tensors of numbers that numpy has into a provider's memory. Leave io_binding out of the job."
                )


def is_bindable(type_name: str) -> bool:
    """Whether values of this type can lie in a provider's memory."""
    if not type_name.startswith("tensor("):
        return False
    kind = KINDS.get(type_name.removeprefix("tensor(").rstrip(")"))
    return kind is not None and kind.native and type_name != "tensor(string)"
