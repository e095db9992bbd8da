"""Whatever a file holds, it is a document with lines or a sentence that names the place."""

from __future__ import annotations

import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from daemons.core.errors import ConfigInvalid
from daemons.runtime.yaml_file import MAX_BYTES, parse_document, read_document


def refusal(text: str) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        parse_document(text, "F")
    return str(caught.value)


def test_each_key_and_item_has_its_line():
    document = parse_document("a:\n  b: 1\n  c:\n    - x\n    - y: 2\nd: {e: 3}\n", "F")
    assert document.content == {"a": {"b": 1, "c": ["x", {"y": 2}]}, "d": {"e": 3}}
    assert document.lines[("a",)] == 1
    assert document.lines[("a", "c")] == 3
    assert document.lines[("a", "c", 1, "y")] == 5
    assert document.lines[("d", "e")] == 6


def test_what_is_not_there_has_the_line_of_what_is_above_it():
    document = parse_document("\na:\n  b: 1\n", "F")
    assert document.line_of(("a", "b", "deeper")) == 3
    assert document.line_of(("a", "other")) == 2
    assert document.line_of(("z",)) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- a\n- b\n", "F:1: must hold sections with keys, such as `log:`, and holds a list"),
        ("just text", "F:1: must hold sections with keys, such as `log:`, and holds a single value"),
        ("a:\n\tb: 1\n", "F:2: a tab stands where YAML wants spaces; indent with spaces"),
        ("a: 1\n---\nb: 2\n", "F:2: a second document begins here (`---`); a configuration is a single one"),
        ("a: 1\nb: [1,\n", "F:3: is not valid YAML: "),
        ("a: b: c\n", "F:1: is not valid YAML: mapping values are not allowed here"),
        ("a: *nothing\n", "F:1: is not valid YAML: found undefined alias 'nothing'"),
        ("a: !!python/object/apply:os.system ['true']\n", "F:1: is not valid YAML: could not determine a constructor"),
        ("a: 1\nb: \x00\n", "F:2: is not text: it has the character 0x0000"),
        ("a: &x\n  b: *x\n" + "c: " + "[" * 1000, "F: is nested too deeply"),
        ("a: !!bool maybe\n", "F: a value doesn't fit the `!!` tag before it"),
        ("a: !!timestamp x\n", "F: a value doesn't fit the `!!` tag before it"),
    ],
)
def test_what_is_no_configuration_is_a_sentence_with_its_place(text, sentence):
    assert refusal(text).startswith(sentence)


def test_a_key_that_stands_twice_is_refused_with_both_lines():
    """YAML's own readers let the last one win."""
    with pytest.raises(ConfigInvalid) as caught:
        parse_document("a:\n  b: 1\n  b: 2\nc: 1\na:\n", "F")
    assert caught.value.mistakes == (
        "F:3: a.b: stands here twice, first on line 2; remove one of the two",
        "F:5: a: stands here twice, first on line 1; remove one of the two",
    )


def test_an_alias_that_contains_itself_is_refused():
    assert "contains itself" in refusal("a: &x\n  b: *x\n")


def test_a_file_of_bytes_that_are_no_text_is_told_with_the_byte(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"a: 1\nb: \xff\xfe\n")
    with pytest.raises(ConfigInvalid, match=rf"^{path}:2: is not UTF-8 text \(byte 0xff\)$"):
        read_document(path)


def test_a_file_that_is_too_large_is_not_read_as_a_whole(tmp_path):
    path = tmp_path / "f.yaml"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ConfigInvalid, match="is larger than 1,048,576 bytes"):
        read_document(path)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda _: None, "there is no such file"),
        (lambda path: path.mkdir(), "can't be read: Is a directory"),
        (lambda path: path.symlink_to(path), "can't be read: Too many levels of symbolic links"),
    ],
)
def test_a_file_that_cannot_be_opened_is_a_sentence(tmp_path, make, sentence):
    path = tmp_path / "f.yaml"
    make(path)
    with pytest.raises(ConfigInvalid, match=f"^{path}: {sentence}"):
        read_document(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_sentence(tmp_path):
    path = tmp_path / "f.yaml"
    path.touch(mode=0o000)
    with pytest.raises(ConfigInvalid, match="can't be read: Permission denied"):
        read_document(path)


@given(st.text(alphabet="ab: -[]{}&*!|>'\"%@`#,?\n\t\x00\x85\ud800é1.~<", max_size=40))
def test_any_text_is_a_document_or_a_refusal(text):
    try:
        content, refused = parse_document(text, "F").content, ""
    except ConfigInvalid as error:
        content, refused = None, str(error)
    assert refused.startswith("F:") if content is None else content == (yaml.safe_load(text) or {})


def test_a_date_is_text():
    assert parse_document("a: 2026-99-99", "F").content == {"a": "2026-99-99"}
