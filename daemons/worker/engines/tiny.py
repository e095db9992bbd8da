"""The smallest useful model: two numbers, each added to itself. A probe runs it to see that a unit really works.

Written out as protocol-buffer fields (a tag, a length, the content), since the measuring process doesn't import `onnx`.
"""

from __future__ import annotations

from typing import Final

# A tensor of two floats: elem_type 1 (FLOAT), shape of one dimension whose value is 2.
_TWO_FLOATS: Final = b"\x12\x0a" + b"\x0a\x08" + b"\x08\x01" + b"\x12\x04\x0a\x02\x08\x02"

_NODE: Final = b"\x0a\x01a" + b"\x0a\x01a" + b"\x12\x01b" + b"\x22\x03Add"  # inputs a, a; output b; operator Add
_NAME: Final = b"\x12\x04tiny"
_INPUT: Final = b"\x0a\x01a" + _TWO_FLOATS
_OUTPUT: Final = b"\x0a\x01b" + _TWO_FLOATS
_GRAPH: Final = b"\x0a\x0e" + _NODE + _NAME + b"\x5a\x0f" + _INPUT + b"\x62\x0f" + _OUTPUT

_IR_VERSION_7: Final = b"\x08\x07"
_OPSET_13: Final = b"\x42\x04" + b"\x0a\x00" + b"\x10\x0d"

TINY_ONNX: Final = _IR_VERSION_7 + b"\x3a\x38" + _GRAPH + _OPSET_13
"""An ONNX model: `b = a + a`, both of two floats."""
