"""The names of compute units."""

from __future__ import annotations

import pytest

from daemons.core.units import STANDARD_UNITS, is_unit_name


@pytest.mark.parametrize("name", [*STANDARD_UNITS, "NPU (Acme 2)", "é (ü)"])
def test_hardware_and_engine(name):
    assert is_unit_name(name)


@pytest.mark.parametrize(
    "name", ["", "CPU", "CPU(ONNX)", "CPU (ONNX", "(ONNX)", "CPU ()", "a\n (b)", "CPU (ONNX) ", "a (b) (c)"]
)
def test_anything_else_is_none(name):
    assert not is_unit_name(name)
