"""Which model URLs are taken."""

from __future__ import annotations

import pytest

from daemons.core.errors import InvalidInput
from daemons.core.urls import check_model_url


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
