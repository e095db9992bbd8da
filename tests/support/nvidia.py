"""A management library of NVIDIA's for machines without a GPU, so that the real pynvml has something to talk to."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("fake_nvml.c")


def environment_with_gpus(folder: Path, **more: str) -> dict[str, str]:
    """An environment in which a new process finds two GPUs: one that tells everything, one that tells little."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler to build a management library with")
    library = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE)], check=True)
    return {**os.environ, "LD_LIBRARY_PATH": str(folder), **more}
