"""Columns on a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from daemons.cli.listing import Cell, Column, painted_lines, plain_lines, print_facts, status

COLUMNS = [Column("campaign"), Column("what", shrinks=True), Column("jobs", is_number=True)]
ROWS = [("campaign-1736432000123456", "net.onnx", 3), ("campaign-1", Cell("x" * 100, "red"), 12345)]


def painted(columns, rows, width=80):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor", highlight=False)
    for line in painted_lines(columns, rows, width):
        console.print(line, soft_wrap=True)
    return console.file.getvalue()


def test_plain_lines_are_aligned_and_whole_and_end_without_blanks():
    lines = plain_lines(COLUMNS, ROWS)
    assert lines[0].split() == ["campaign", "what", "jobs"]
    assert lines[1] == "campaign-1736432000123456  net.onnx" + " " * 92 + "      3"
    assert lines[2].endswith(f"{'x' * 100}  12345")
    assert len(lines[1]) == len(lines[2])
    assert plain_lines([Column("a"), Column("b")], [("x", "")]) == ["a  b", "x"]


def test_wide_characters_keep_the_columns():
    lines = plain_lines([Column("a"), Column("b")], [("日本", "1"), ("ab", "2")])
    assert lines == ["a     b", "日本  1", "ab    2"]


@given(width=st.integers(45, 200))
def test_a_terminal_cuts_what_may_shrink_and_nothing_else(width):
    heading, first, second = (line.plain for line in painted_lines(COLUMNS, ROWS, width))
    assert max(map(cell_len, (heading, first, second))) <= width
    assert heading.split() == ["campaign", "what", "jobs"]
    assert first.split() == ["campaign-1736432000123456", "net.onnx", "3"]
    assert second.endswith("  12345")
    assert ("…" in second) == (width < 25 + 100 + 5 + 4)


def test_what_is_too_narrow_for_all_is_whole_rather_than_fitting():
    lines = [line.plain for line in painted_lines(COLUMNS, ROWS, 10)]
    assert lines[1].startswith("campaign-1736432000123456  net.o…  ")


@given(texts=st.lists(st.text(max_size=30), min_size=1, max_size=4), width=st.integers(8, 30))
def test_columns_stay_columns_whatever_stands_in_them(texts, width):
    columns = [Column("a", shrinks=True), Column("b")]
    lines = painted_lines(columns, [(text, "end") for text in texts], width)
    places = {cell_len(line.plain.rpartition("end")[0]) for line in lines[1:]}
    assert len(places) == 1


@pytest.mark.parametrize("evil", ["\x1b[31mred", "a\u202eb", "[red]not markup[/red]", "line\nbreak"])
def test_nothing_from_outside_steers_the_terminal(evil):
    columns = [Column("name")]
    for text in (painted(columns, [(evil,)]), "\n".join(plain_lines(columns, [(Cell(evil),)]))):
        assert "\x1b[31mred" not in text
        assert "\u202e" not in text
        assert text.count("\n") <= 2
    assert "[red]not markup[/red]" in painted(columns, [("[red]not markup[/red]",)])


def test_a_status_has_a_colour_beside_its_word():
    assert status("failed") == Cell("failed", "red")
    assert status("a word of a later version") == Cell("a word of a later version", "")


def test_facts_leave_out_what_is_not_known(capsys):
    print_facts({"Worker": "worker-1", "Tags": None, "Jobs failed": 0})
    assert capsys.readouterr().out == "Worker       worker-1\nJobs failed  0\n"
