"""Which of an archive's files is the model, and under which names a file may come by itself."""

from __future__ import annotations

import re

import pytest

from daemons.worker.archive import ArchiveRefused
from daemons.worker.kinds import find_model, objection

PACKAGE = [
    "Net.mlpackage/Manifest.json",
    "Net.mlpackage/Data/com.apple.CoreML/model.mlmodel",
    "Net.mlpackage/Data/com.apple.CoreML/weights/weight.bin",
]
COMPILED = ["Net.mlmodelc/coremldata.bin", "Net.mlmodelc/metadata.json", "Net.mlmodelc/model0/coremldata.bin"]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["m.onnx"], "m.onnx"),
        (["M.ONNX", "w.bin"], "M.ONNX"),
        (["sub/m.onnx", "sub/w.bin"], "sub/m.onnx"),
        (["m.onnx", "parts/a.onnx", "parts/b.onnx"], "m.onnx"),
        (["m/m.onnx", "__MACOSX/m/._m.onnx", "m/._m.onnx"], "m/m.onnx"),
        (["Net.mlmodel"], "Net.mlmodel"),
        (PACKAGE, "Net.mlpackage"),
        (COMPILED, "Net.mlmodelc"),
        ([f"lab/{name}" for name in PACKAGE], "lab/Net.mlpackage"),
        ([*PACKAGE, "__MACOSX/Net.mlpackage/._Manifest.json", "__MACOSX/._Net.mlpackage"], "Net.mlpackage"),
        (["outer.mlmodelc/inner.mlmodelc/coremldata.bin"], "outer.mlmodelc"),
        (["Net.mlpackage/Data/a.onnx", "Net.mlpackage/Data/b.mlmodel"], "Net.mlpackage"),
        (["parts/a.onnx", *PACKAGE], "Net.mlpackage"),
        (["m.xml", "m.bin"], "m.xml"),
        (["ir/m.xml", "ir/m.bin", "labels.xml"], "ir/m.xml"),
    ],
)
def test_the_model_is_the_one_at_the_top_or_the_only_one(names, found):
    assert find_model(names) == found
    assert find_model(reversed(names)) == found


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], ["no files at all"]),
        (["readme.txt", "w.bin"], ["no model (.onnx, .mlpackage, ", "'readme.txt'", "'w.bin'"]),
        (["a.onnx", "b.onnx"], ["2 models", "'a.onnx'", "'b.onnx'"]),
        (["x/a.onnx", "y/b.onnx"], ["2 models", "'x/a.onnx'", "'y/b.onnx'"]),
        ([f"{n:02}.onnx" for n in range(15)], ["15 models", "'09.onnx'", "and 5 more"]),
        (["x/a.onnx", *(f"y/{name}" for name in PACKAGE)], ["2 models", "'x/a.onnx'", "'y/Net.mlpackage'"]),
        ([*COMPILED, "m.xml", "m.bin"], ["2 models"]),
        (["lab/m.xml", "m.bin"], ["beside 'lab/m.xml' there is no 'm.bin'"]),
        (["Net.mlpackage"], ["no model", "it holds 'Net.mlpackage'"]),
        ([name.partition("/")[2] for name in PACKAGE], ["inside of an .mlpackage only", "pack the folder itself"]),
        ([name.replace("Net.mlpackage", "renamed") for name in PACKAGE], ["inside of an .mlpackage only"]),
        (["coremldata.bin", "metadata.json"], ["inside of an .mlmodelc only"]),
    ],
)
def test_none_or_several_are_refused_with_what_there_is(names, words):
    with pytest.raises(ArchiveRefused) as caught:
        find_model(names)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("name", "is_zip", "told"),
    [
        ("m.onnx", False, None),
        ("model", False, None),
        ("m.mlmodel", False, None),
        ("m.zip", True, None),
        ("download", True, None),
        ("Net.mlpackage", True, None),
        ("m.ZIP", False, "no zip archive, whatever"),
        ("m.onnx", True, "is a zip archive"),
        ("m.mlmodel", True, "is a zip archive"),
        ("m.xml", True, "is a zip archive"),
        ("m.XML", False, r"comes without its weights: send it together with its \.bin of the same name as a zip"),
        ("Net.mlpackage", False, r"an \.mlpackage is a folder: send the whole folder as a zip"),
        ("Net.mlmodelc", False, r"an \.mlmodelc is a folder"),
    ],
)
def test_a_name_and_what_came_must_fit(name, is_zip, told):
    found = objection(name, is_zip=is_zip)
    assert found is None if told is None else re.search(told, found or "")
