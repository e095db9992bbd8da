"""Frames of server-sent events, however they are cut into pieces."""

from __future__ import annotations

import pytest

from daemons.client.sse import Frame, Frames

STREAM = (
    b": kept alive\n\n"
    b"id: e-1\nevent: job\ndata: one\n\n"
    b"data:two\ndata: lines\nretry: 1000\n\n"
    b"event: nothing\n\n"
    b"id: e-3\r\ndata: caf\xc3\xa9\r\n\r\n"
    b": nothing new\nid: e-4\n\n"
    b"data: not whole"
)
FRAMES = [Frame("job", "one"), Frame("message", "two\nlines"), Frame("message", "café")]


@pytest.mark.parametrize("size", [1, 2, 7, len(STREAM)])
def test_frames_are_the_same_however_they_come(size):
    frames = Frames()
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert [frame for piece in pieces for frame in frames.feed(piece)] == FRAMES
    assert frames.position == "e-4"
