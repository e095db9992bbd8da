"""A package and a version, and nothing else, ever."""

from __future__ import annotations

import pytest

from daemons.core.errors import InvalidInput
from daemons.core.requirement import normalized, release_of, requirement


@pytest.mark.parametrize(
    ("text", "package", "version"),
    [
        ("onnxruntime==1.20.1", "onnxruntime", "1.20.1"),
        ("onnxruntime==1.20.*", "onnxruntime", "1.20.*"),
        ("Open_Vino.X==2025.1.0", "Open_Vino.X", "2025.1.0"),
        ("a==1", "a", "1"),
        ("a==1!2.0rc1.post2.dev3", "a", "1!2.0rc1.post2.dev3"),
        ("torch==2.7.0+cu128", "torch", "2.7.0+cu128"),
    ],
)
def test_what_names_a_version_is_taken_apart(text, package, version):
    found = requirement(text)
    assert (found.package, found.version, str(found)) == (package, version, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "onnxruntime",
        "onnxruntime>=1.20",
        "onnxruntime==",
        "onnxruntime==1.x",
        "onnxruntime==*",
        "onnxruntime==1.20.1+cu.*",
        "onnxruntime==1.20.1\n",
        "onnxruntime==1.20 --pre",
        "onnxruntime==1.20;python_version>'3'",
        "onnxruntime[cuda]==1.20",
        "onnxruntime @ https://evil/x.whl",
        "-r==1",
        "--index-url=http://evil==1",
        "onnx-==1.0",
        "../x==1.0",
        "a" * 101 + "==1.0",
        "a==" + "1" * 201,
    ],
)
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(InvalidInput, match=r"such as `onnxruntime==1\.20\.1`"):
        requirement(text)


def test_names_have_one_normal_spelling():
    assert {normalized(name) for name in ("My_Engine", "my-engine", "MY.engine", "my-_.engine")} == {"my-engine"}


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("1.20.1", (1, 20, 1)),
        ("2026.4.1-22982-e213fa", (2026, 4, 1)),
        ("2025.1.0", (2025, 1)),
        ("1.20.*", (1, 20)),
        ("1!2.3+cpu", (2, 3)),
        ("v1.2", (1, 2)),
        ("0.0", ()),
        ("unknown", ()),
    ],
)
def test_the_release_is_in_the_leading_numbers(version, release):
    assert release_of(version) == release
