"""The examples of docs/models.md, run by a shell and curl in their order."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/models.md"
EXAMPLES = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("curl", "sha256sum"))), reason="this machine has no curl or no sha256sum"
)


async def run(example, folder, **variables):
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euc",
        example,
        cwd=folder,
        env=os.environ | {"NO_PROXY": "*"} | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, (example, out, err)
    return out.decode()


async def test_the_examples_do_what_the_page_says(api, tmp_path):
    small, large = b"\x08\x07 a model", bytes(range(256)) * 8000
    (tmp_path / "net.onnx").write_bytes(small)
    (tmp_path / "large.onnx").write_bytes(large)
    headers = {"Content-Type": "application/octet-stream", "Content-Range": f"bytes 0-999999/{len(large)}"}
    assert (await api("PUT", "/models/large.onnx", large[:1_000_000], **headers)).status == 202
    said = [await run(example, tmp_path, API=f"{api.url}/api", OFFSET="1000000") for example in EXAMPLES]
    assert len(said) == 6
    assert '"offset":1000000' in said[2]
    assert f'"size_bytes":{len(large)}' in said[3]
    assert '"total_jobs":1' in said[4]
    assert (tmp_path / "copy.onnx").read_bytes() == small
    assert '"deleted":true' in said[5]
