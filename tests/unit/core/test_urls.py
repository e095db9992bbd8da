"""Which model URLs are taken."""

from __future__ import annotations

import pytest

from daemons.core.errors import InvalidInput
from daemons.core.urls import KeptModel, check_model_name, check_model_url, kept_model, model_file_name


@pytest.mark.parametrize(
    "url",
    [
        "http://h/m.onnx",
        "HTTPS://host:8443/a%20b?x=1#y",
        "http://me:secret@h/m",
        "http://[::1]:80/m.onnx",
        "http://10.0.0.1/m",
        "https://h",
    ],
)
def test_http_and_https_with_a_host_are_taken_as_they_are(url):
    assert check_model_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://h/m",
        "m.onnx",
        "//h/m",
        "javascript:alert(1)",
        "data:,x",
        "gopher://h",
        "C:\\m.onnx",
    ],
)
def test_any_other_scheme_is_refused(url):
    with pytest.raises(InvalidInput, match="http:// or https://") as caught:
        check_model_url(url)
    assert caught.value.field == "model_url"


@pytest.mark.parametrize(
    "url", ["http://", "http:///m", "http://:80/m", "http://h:0/m", "http://h:99999/", "http://h:x/", "http://[::1/m"]
)
def test_one_without_a_proper_host_and_port_is_refused(url):
    with pytest.raises(InvalidInput, match="model_url"):
        check_model_url(url)


@pytest.mark.parametrize("url", ["http://h/a b", "http://h/\n", "http://h\x00/m", " http://h/m", "http://h/\u202e"])
def test_spaces_and_control_characters_are_refused(url):
    with pytest.raises(InvalidInput, match="spaces or control"):
        check_model_url(url)


DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("url", "kept", "file_name"),
    [
        ("model:resnet50.onnx", KeptModel("resnet50.onnx"), "resnet50.onnx"),
        ("model:sha256.onnx", KeptModel("sha256.onnx"), "sha256.onnx"),
        (f"model:sha256:{DIGEST}", KeptModel(None, DIGEST), DIGEST),
        (f"model:sha256:{DIGEST.upper()}", KeptModel(None, DIGEST), DIGEST.upper()),
        (f"model:sha256:{DIGEST}/net.zip", KeptModel("net.zip", DIGEST), "net.zip"),
    ],
)
def test_a_model_that_is_kept_is_named_by_name_or_hash(url, kept, file_name):
    assert check_model_url(url) == url
    assert kept_model(url) == kept
    assert kept_model(kept.url) == kept
    assert model_file_name(url) == file_name


@pytest.mark.parametrize("url", ["http://h/m.onnx", "builtin:health-1"])
def test_other_urls_name_nothing_that_is_kept(url):
    assert kept_model(url) is None


NAMES_THAT_LEAD_ASTRAY = [
    "",
    ".",
    "..",
    ".hidden",
    "../../etc/passwd",
    "..\\..\\boot.ini",
    "a/b",
    "/etc/passwd",
    "a\\b",
    "a b",
    "a\nb",
    "a\x00b",
    "C:evil",
    "sha256",
    "sha256:" + DIGEST,
    "-rf",
    "~root",
    "a" * 201,
    "mod\u00e8le.onnx",
    "m\u202eonnx",
    "%2e%2e%2fetc",
]


@pytest.mark.parametrize("name", NAMES_THAT_LEAD_ASTRAY)
def test_what_is_no_plain_name_is_refused_with_a_sentence(name):
    with pytest.raises(InvalidInput, match="letters, digits") as caught:
        check_model_name(name)
    assert caught.value.field == "name"


@pytest.mark.parametrize("name", ["m", "a" * 200, "0.onnx", "_x", "resnet-50_v2+fp16@2026=best.mlpackage.zip"])
def test_plain_names_are_taken(name):
    assert check_model_name(name) == name


@pytest.mark.parametrize(
    "url",
    [
        "model:",
        "model:a/b",
        "model:..",
        "model:sha256",
        "model:sha256:",
        "model:sha256:abc",
        f"model:sha256:{DIGEST}0",
        f"model:sha256:{DIGEST}/../x",
        f"model:sha256:{DIGEST}/.x",
        f"model:sha256:{'g' * 64}",
        "model://host/x",
    ],
)
def test_a_model_url_that_names_nothing_is_refused(url):
    with pytest.raises(InvalidInput, match="model_url: ") as caught:
        check_model_url(url)
    assert caught.value.field == "model_url"
