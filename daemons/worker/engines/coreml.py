"""Core ML models through coremltools, on the GPU or the Neural Engine of a Mac.

coremltools is imported on a Mac alone, and there when the engine is made, so that no load is timed with it. On other
systems the engine says that Core ML needs macOS, and nothing more happens.
"""

from __future__ import annotations

import platform
import sys
import tempfile
from typing import Any, Final

from daemons.worker.engines.base import Engine, EngineError, LoadedModel, LoadOptions, ProviderAbsent
from daemons.worker.engines.coreml_plan import NEURAL_ENGINE, OWN_DEVICE, device_label

ABSENT: Final = "not installed"


class CoreMlEngine(Engine):
    """Core ML as this macOS has it."""

    name = "Core ML"
    units = tuple(OWN_DEVICE)
    options = frozenset({"precision"})
    file_types = (".mlmodel", ".mlpackage", ".mlmodelc")
    packages = ("coremltools",)

    def __init__(self) -> None:
        if is_mac():
            import_coremltools()

    def version(self) -> str:
        """The version of coremltools; Core ML itself has that of macOS."""
        if is_mac():
            return str(import_coremltools().__version__)
        from importlib import metadata  # noqa: PLC0415 (it must not be in a measuring process)

        try:
            return metadata.version(self.packages[0])
        except metadata.PackageNotFoundError:
            return ABSENT

    def load(self, path: str, unit: str, options: LoadOptions) -> LoadedModel:
        """The model, compiled first if it isn't; Core ML keeps the CPU for what the unit's own device can't do."""
        require_served(unit)
        from daemons.worker.engines.coreml_model import CoreMlModel  # noqa: PLC0415 (needs coremltools)

        return CoreMlModel(path, unit, options.precision)

    def probe(self, unit: str) -> None:
        """Runs the smallest model, where Core ML says that it has the unit's device."""
        require_served(unit)
        require_device(unit)
        with tempfile.TemporaryDirectory() as folder:
            model = self.load(self.example(folder), unit, LoadOptions())
            try:
                model.run(model.inputs(seed=0).feed)
            finally:
                model.close()

    def example(self, folder: str) -> str:
        """An .mlmodel: `b = a + a`, both of two floats. Needs coremltools, on any system."""
        from daemons.worker.engines.coreml_example import write_example  # noqa: PLC0415 (needs coremltools)

        return write_example(folder)

    def load_reference(self, path: str) -> LoadedModel:
        """The same model on the CPU alone."""
        require_mac("The reference of a Core ML model")
        from daemons.worker.engines.coreml_model import CoreMlModel  # noqa: PLC0415 (needs coremltools)

        return CoreMlModel(path, None)


def is_mac() -> bool:
    """Whether Core ML can be here at all."""
    return sys.platform == "darwin"


def import_coremltools() -> Any:
    """coremltools, with all that a load needs."""
    import coremltools  # noqa: PLC0415 (on a Mac alone)

    import daemons.worker.engines.coreml_model  # noqa: PLC0415, F401 (so that the first load finds it)

    return coremltools


def require_mac(what: str) -> None:
    """ProviderAbsent on any other system."""
    if not is_mac():
        raise ProviderAbsent(f"{what} needs Core ML, and Core ML needs macOS; this device runs {platform.system()}.")


def require_served(unit: str) -> None:
    """ProviderAbsent if Core ML doesn't serve the unit, or isn't here."""
    if unit not in OWN_DEVICE:
        raise ProviderAbsent(f"Core ML doesn't serve {unit}; it serves {', '.join(OWN_DEVICE)}.")
    require_mac(unit)


def require_device(unit: str) -> None:
    """ProviderAbsent if this Mac lacks the unit's own device: Core ML would run on the CPU without a word."""
    own, devices = OWN_DEVICE[unit], available_devices()
    if devices is not None and own not in devices:
        raise ProviderAbsent(f"{unit} needs the device {own}, and Core ML has only {', '.join(devices)} on this Mac.")
    if devices is None and own == NEURAL_ENGINE and platform.machine() != "arm64":
        raise ProviderAbsent(f"{unit} needs a Neural Engine, which Macs with an Intel processor lack.")


def available_devices() -> list[str] | None:
    """The devices that Core ML may use here; None before macOS 14, which doesn't tell."""
    from coremltools.models import MLModel  # noqa: PLC0415 (on a Mac alone)

    try:
        return sorted({device_label(device) for device in MLModel.get_available_compute_devices()})
    except RuntimeError:
        return None
    except AttributeError as error:
        raise EngineError(
            "coremltools lacks its part that speaks with Core ML; install its wheel for macOS."
        ) from error
