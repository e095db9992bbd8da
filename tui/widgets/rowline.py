"""One line of a table as it is to be seen, and its way into Textual's strips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip


class Piece(NamedTuple):
    """What stands in a column of the line."""

    text: str
    width: int
    tone: str = ""
    is_right: bool = False


class Look(NamedTuple):
    """A line. Two that are equal are drawn alike."""

    mark: str
    pieces: tuple[Piece, ...]
    styles: tuple[str, ...] = ()
    """By name, each over those before it."""


def strip_of(look: Look, styles: Mapping[str, Style], width: int) -> Strip:
    """The line, `width` cells wide; `styles` has one by the name of each tone, and the table's own by ``""``."""
    base = Style.combine([styles[""], *(styles[name] for name in look.styles)])
    segments = [Segment(f"{look.mark:<2}", base)]
    for piece in look.pieces:
        style = base + styles[piece.tone] if piece.tone in styles and piece.tone else base
        segments += (Segment(aligned(piece.text, piece.width, is_right=piece.is_right), style), Segment(" ", base))
    return Strip(segments).adjust_cell_length(width, base)


def aligned(text: str, size: int, *, is_right: bool) -> str:
    """Text in exactly `size` cells; what is too long ends with an ellipsis."""
    length = cell_len(text)
    if length > size:
        return set_cell_size(text, size - 1) + "…" if size > 1 else set_cell_size(text, size)
    return " " * (size - length) + text if is_right else text + " " * (size - length)
