"""What pip wrote becomes one sentence. The texts are what pip 23 and 25 write."""

from __future__ import annotations

import pytest

from daemons.core.requirement import Requirement
from daemons.worker.pip_words import last_words, shortened, why_pip_failed, why_venv_failed

WANTED = Requirement("onnxruntime", "1.99.*")

NO_SUCH_VERSION = """\
Looking in indexes: https://user:****@host/simple
ERROR: Could not find a version that satisfies the requirement onnxruntime==1.99.* (from versions: 1.0, 1.1, 1.2)
ERROR: No matching distribution found for onnxruntime==1.99.*
"""
RETRYING = (
    "WARNING: Retrying (Retry(total={left}, connect=None, read=None, redirect=None, status=None)) after connection "
    "broken by 'NewConnectionError('<pip._vendor.urllib3.connection.HTTPConnection object at 0x7f>: Failed to "
    "establish a new connection: [Errno -2] Name or service not known')': /simple/onnxruntime/\n"
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (NO_SUCH_VERSION, "the package index has no such version with a ready-built wheel for Python 3"),
        (NO_SUCH_VERSION, "it has 1.0, 1.1, 1.2"),
        (NO_SUCH_VERSION.replace("1.0, 1.1, 1.2", "none"), "the package index has no onnxruntime with a ready-built"),
        (
            RETRYING.format(left=1) + RETRYING.format(left=0) + NO_SUCH_VERSION.replace("1.0, 1.1, 1.2", "none"),
            "the package index can't be reached (Name or service not known)",
        ),
        (RETRYING.format(left=4) + NO_SUCH_VERSION, "it has 1.0, 1.1, 1.2"),
        (
            "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'SSLError(SSLCertVerification"
            "Error(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate "
            "(_ssl.c:1006)'))': /simple/onnxruntime/\n" + NO_SUCH_VERSION,
            "the package index can't be reached (certificate verify failed: self-signed certificate )",
        ),
        (
            "WARNING: The repository located at lab is not a trusted or secure host and is being ignored. If this\n"
            + NO_SUCH_VERSION,
            "pip leaves out lab, which is not reached by https",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
            "Could not install packages due to an OSError: [Errno 28] No space left on device",
        ),
        ("Looking in indexes: x\n\nKilled\n", "onnxruntime==1.99.* can't be installed: Killed"),
        ("", "it says nothing"),
    ],
)
def test_the_reason_is_told(text, told):
    said = why_pip_failed(text, WANTED)
    assert said.startswith("onnxruntime==1.99.* can't be installed: ")
    assert told in said
    assert "\n" not in said


def test_versions_like_the_one_that_was_asked_for_are_named_before_others():
    text = NO_SUCH_VERSION.replace("1.0, 1.1, 1.2", "1.1, 1.20.0, 1.20.1, 1.3, 2.0")
    said = why_pip_failed(text, Requirement("onnxruntime", "1.20.9"))
    assert said.endswith("it has 1.20.0, 1.20.1, and 3 others up to 2.0")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("The virtual environment was not created successfully because ensurepip is not available. …", "python3-venv"),
        ("/usr/bin/python3: No module named venv", "came without venv"),
        ("Error: [Errno 13] Permission denied: '/state'", "Error: [Errno 13] Permission denied: '/state'"),
    ],
)
def test_a_python_that_makes_no_environments_is_told(text, told):
    assert told in why_venv_failed(text)


def test_a_password_is_not_told():
    assert last_words("ERROR: 403 for url: https://me:hush@host/simple/x/") == "403 for url: https://***@host/simple/x/"


def test_of_many_versions_the_ends_are_named():
    versions = [f"1.{minor}" for minor in range(20)]
    assert shortened(versions) == "1.0, … (13 more), 1.14, 1.15, 1.16, 1.17, 1.18, 1.19"
    assert shortened(versions[:8]) == ", ".join(versions[:8])
