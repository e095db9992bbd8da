"""The form of a compute unit's name, as bodies and configuration are validated by it.

Apart from `units`, which the measuring process imports: a library for validating would stand in every peak there.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from daemons.core.units import UNIT_NAME

UnitName = Annotated[str, Meta(pattern=f"^{UNIT_NAME}$", extra={"allowed": "a compute unit such as `CPU (ONNX)`"})]
