"""What an environment is made with: what pip is told and may see, and what the environment imports."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import daemons
from daemons.core.requirement import Requirement
from daemons.worker.engines.inventory import taken_stock
from daemons.worker.installing import ImportPaths, companions, own_import_paths, pip_command, pip_environ, pth_line
from tests.support.wheels import wheel


def test_pip_gets_its_settings_proxies_and_certificates_and_no_secret_of_ours():
    kept = {"PATH": "p", "HOME": "h", "PIP_INDEX_URL": "i", "PIP_CERT": "c", "https_proxy": "x", "SSL_CERT_FILE": "s"}
    left_out = {
        "BENCHFLEET_TOKEN_FILE": "t",
        "BENCHFLEET_ORCHESTRATOR__TOKEN_FILE": "t",
        "AWS_SECRET_ACCESS_KEY": "k",
        "PYTHONPATH": "/plugins",
        "VIRTUAL_ENV": "/venv",
        "PIP_TARGET": "/elsewhere",
        "PIP_USER": "1",
        "PIP_NO_BINARY": ":all:",
    }
    assert pip_environ(kept | left_out) == kept


@pytest.mark.parametrize(
    ("wanted", "beside"),
    [
        ("onnxruntime 1.17.*", ("numpy<2",)),
        ("ONNXRuntime 1.18.1", ("numpy<2",)),
        ("onnxruntime 1.19.0", ()),
        ("onnxruntime 1.20.*", ()),
        ("openvino 1.0", ()),
    ],
)
def test_what_breaks_with_a_newer_numpy_gets_an_older_one(wanted, beside):
    assert companions(Requirement(*wanted.split())) == beside


def test_pip_is_told_what_to_install_from_where_and_never_to_build_anything():
    command = pip_command("/env/bin/python", Requirement("onnxruntime", "1.17.*"), "http://lab/simple")
    assert command[:5] == ["/env/bin/python", "-I", "-m", "pip", "install"]
    assert command[-3:] == ["--index-url=http://lab/simple", "onnxruntime==1.17.*", "numpy<2"]
    assert {"--only-binary=:all:", "--no-input"} < set(command)
    assert not any("index" in word for word in pip_command("python", Requirement("openvino", "2025.1.0"), None))


def test_a_processs_own_import_paths_lead_to_benchfleet_and_to_what_is_installed():
    paths = own_import_paths({"PYTHONPATH": os.pathsep.join(["/plugins", "", "/plugins", "more"])})
    assert paths.others[:2] == ("/plugins", str(Path.cwd() / "more"))
    assert str(Path(daemons.__file__).parents[1]) in (*paths.others, *paths.sites)
    assert any(Path(place).is_relative_to(sys.prefix) for place in paths.sites)


def test_what_the_environment_has_wins_and_what_it_lacks_is_found(tmp_path):
    """As in an environment: its packages, the line that is read after them, and .pth files in the worker's own."""
    environment, site, checkout, nested = (tmp_path / name for name in ("env", "site", "checkout", "nested's"))
    for folder, modules in ((environment, "a"), (site, "ab"), (checkout, "abc"), (nested, "abcd")):
        folder.mkdir()
        for module in modules:
            (folder / f"bf_{module}.py").write_text(f"where = {folder.name!r}")
    (site / "editable.pth").write_text(f"{nested}\n")
    (environment / "zzz.pth").write_text(pth_line(ImportPaths((str(site),), (str(checkout),))))
    code = (
        f"import site; site.addsitedir({str(environment)!r}); import bf_a, bf_b, bf_c, bf_d;"
        "print(bf_a.where, bf_b.where, bf_c.where, bf_d.where)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.split()[0] == "env"
    assert done.stdout.split()[2:] == ["checkout", "nested's"]


def test_an_inventory_tells_what_is_held_and_what_would_come_from_elsewhere(tmp_path, monkeypatch):
    held, shadow = tmp_path / "held", tmp_path / "shadow"
    for folder, package in ((held, "Bf_First.Thing"), (held, "bf-second")):
        unpack(folder, package)
    shadow.mkdir()
    (shadow / "bf_second.py").write_text("")
    monkeypatch.syspath_prepend(held)
    monkeypatch.syspath_prepend(shadow)
    found = taken_stock(str(held))
    assert found.versions == {"bf-first-thing": "1.0", "bf-second": "1.0"}
    assert found.elsewhere == ["bf_second"]


def unpack(folder, package):
    module = package.lower().replace("-", "_").replace(".", "_")
    _, content = wheel(package, "1.0", {f"{module}.py": ""})
    zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
