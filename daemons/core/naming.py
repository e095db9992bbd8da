"""The forms of what people make up: tags of devices, names and labels of campaigns.

Each form ends with what forbids a line's end behind it, which ``$`` alone would let through.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Tag = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,59}(?!\n)$",
        extra={"allowed": "1 to 60 letters, digits and the signs . _ : -, such as `lab-2`"},
    ),
]
Tags = Annotated[list[Tag], Meta(max_length=20)]
ModelUrl = Annotated[str, Meta(min_length=1, max_length=8192)]
Title = Annotated[
    str,
    Meta(
        pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,200}(?!\n)$",
        extra={"allowed": "1 to 200 characters, none of them a control character"},
    ),
]
LabelKey = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}(?!\n)$",
        extra={"allowed": "1 to 100 letters, digits and the signs . _ / -, such as `branch`"},
    ),
]
LabelValue = Annotated[
    str,
    Meta(
        pattern=r"^[^\x00-\x1f\x7f-\x9f]{0,200}(?!\n)$",
        extra={"allowed": "at most 200 characters, none of them a control character"},
    ),
]
Labels = Annotated[dict[LabelKey, LabelValue], Meta(max_length=50)]
