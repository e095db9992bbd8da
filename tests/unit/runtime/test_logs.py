"""Logs for people and for programs; nothing from outside steers the terminal."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import warnings

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from daemons.runtime.logs import CHATTY, escape, set_up_logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def unchanged_logging():
    """The set-up is the process's: other tests get theirs back."""
    root = logging.getLogger()
    names = ("", *CHATTY)
    before = root.handlers[:], [logging.getLogger(name).level for name in names], logging.raiseExceptions
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(capture=False)
    root.handlers[:], levels, logging.raiseExceptions = before
    for name, level in zip(names, levels, strict=True):
        logging.getLogger(name).setLevel(level)


def documents(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_programs_get_one_json_document_a_line():
    stream = io.StringIO()
    set_up_logs("info", "auto", stream)
    structlog.get_logger("daemons.x").info("job taken", job_id="job-1", attempt=2, note="line\nbreak")
    (document,) = documents(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", document.pop("timestamp"))
    assert document == {
        "event": "job taken",
        "level": "info",
        "logger": "daemons.x",
        "job_id": "job-1",
        "attempt": 2,
        "note": "line\nbreak",
    }


def test_the_standard_librarys_logs_take_the_same_way():
    stream = io.StringIO()
    set_up_logs("info", "json", stream)
    logging.getLogger("aiohttp.server").warning("bad request from %s", "x")
    (document,) = documents(stream)
    assert (document["event"], document["level"], document["logger"]) == (
        "bad request from x",
        "warning",
        "aiohttp.server",
    )


def test_warnings_of_the_interpreter_are_logged():
    stream = io.StringIO()
    set_up_logs("info", "json", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("this is old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "this is old" in stream.getvalue()


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_only_the_level_and_above_are_written(level):
    stream = io.StringIO()
    set_up_logs(level, "json", stream)
    for name in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger("a"), name)(name)
        getattr(logging.getLogger("b"), name)(name)
    levels = ["debug", "info", "warning", "error"]
    kept = levels[levels.index(level) :]
    assert [document["event"] for document in documents(stream)] == [name for name in kept for _ in range(2)]


def test_an_exception_comes_with_its_traceback_in_both_formats():
    for format_ in ("json", "console"):
        stream = io.StringIO()
        set_up_logs("info", format_, stream)
        try:
            int("broken \x1b[2J")
        except ValueError:
            structlog.get_logger("a").exception("it failed")
        text = stream.getvalue()
        assert "Traceback (most recent call last)" in text
        assert "ValueError: invalid literal" in text
        assert "\x1b[2J" not in text


def test_the_console_has_colours_on_a_terminal_alone():
    for stream, has_colours in ((Terminal(), True), (io.StringIO(), False)):
        set_up_logs("info", "console", stream)
        structlog.get_logger("a").info("hello", key="value")
        assert ("\x1b[" in stream.getvalue()) is has_colours
        assert "hello" in stream.getvalue()


def test_auto_is_for_people_on_a_terminal():
    stream = Terminal()
    set_up_logs("info", "auto", stream)
    structlog.get_logger("a").info("hello")
    assert not stream.getvalue().startswith("{")


ATTACK = "x\x1b]0;owned\x07\x9b2J\r\n\u202egnp.exe\u2066\u200b\x00"


def test_what_could_steer_a_terminal_is_spelt_out_wherever_it_stands():
    class Odd:
        def __repr__(self) -> str:
            return ATTACK

    stream = io.StringIO()
    set_up_logs("info", "console", stream)
    log = structlog.get_logger("a")
    log.info(ATTACK, name=ATTACK, nested={"list": [ATTACK]}, odd=Odd(), **{ATTACK: 1})
    logging.getLogger(ATTACK).error(ATTACK)
    text = stream.getvalue()
    assert "\\x1b]0;owned\\x07" in text
    assert [sign for sign in text if sign != "\n" and not sign.isprintable()] == []
    assert text.count("\n") == 2


@given(st.text())
def test_escaped_text_is_printable_as_far_as_terminals_care(text):
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", escape(text))
    if text.isascii() and text.isprintable():
        assert escape(text) == text


def test_without_a_stream_logs_go_to_stderr(capsys):
    set_up_logs("info", "json")
    structlog.get_logger("a").info("hello")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hello" in captured.err


def test_a_stream_that_is_gone_fails_nobody():
    stream = io.StringIO()
    set_up_logs("info", "json", stream)
    stream.close()
    structlog.get_logger("a").info("hello")


def test_set_up_again_replaces_and_does_not_double():
    first, second = io.StringIO(), io.StringIO()
    set_up_logs("info", "json", first)
    set_up_logs("info", "json", second)
    structlog.get_logger("a").info("hello")
    assert first.getvalue() == ""
    assert len(documents(second)) == 1
    assert logging.getLogger().handlers[0].stream is not sys.stderr
