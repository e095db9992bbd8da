"""The install script says what it does, does what it says, and overwrites no configuration."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "deploy" / "install.sh"

FAKE_PYTHON = """#!/bin/sh
# Stands for Python and, once "installed", for the environment's: no network is wanted here.
echo "python $*" >> "$CALLS"
if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; fi
"""


@pytest.fixture
def install(tmp_path):
    """Runs the script below a folder of the test's own, as the system that `system` names."""
    tools = tmp_path / "tools"
    tools.mkdir()
    fake = tools / "python3"
    fake.write_text(FAKE_PYTHON)
    fake.chmod(0o755)

    def run(*arguments, system="Linux", destdir=True):
        (tools / "uname").write_text(f"#!/bin/sh\necho {system}\n")
        (tools / "uname").chmod(0o755)
        environ = {"PATH": f"{tools}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls")}
        if destdir:
            environ["DESTDIR"] = str(tmp_path / "root")
        return subprocess.run(
            [SCRIPT, *arguments], env=environ, capture_output=True, text=True, timeout=60, check=False
        )

    return run


def files_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_shell_can_read_it():
    assert subprocess.run(["sh", "-n", SCRIPT], check=False).returncode == 0
    assert os.access(SCRIPT, os.X_OK)


def test_shellcheck_has_nothing_to_say():
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed, so the script was not checked by it")
    done = subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True, check=False)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("system", "units"),
    [
        (
            "Linux",
            {
                f"etc/systemd/system/benchfleet-{unit}"
                for unit in ("worker.service", "orchestrator.service", "orchestrator.socket")
            },
        ),
        ("Darwin", {f"Library/LaunchDaemons/benchfleet.{program}.plist" for program in ("worker", "orchestrator")}),
    ],
)
def test_program_configuration_and_units_are_where_the_units_look_for_them(install, tmp_path, system, units):
    done = install("--worker", "--orchestrator", system=system)
    assert done.returncode == 0, done.stderr
    assert files_below(tmp_path / "root") == units | {
        "opt/benchfleet/bin/python",
        "etc/benchfleet/worker.yaml",
        "etc/benchfleet/orchestrator.yaml",
        "etc/benchfleet/schema/worker.json",
        "etc/benchfleet/schema/orchestrator.json",
    }
    assert (tmp_path / "root/etc/benchfleet/worker.yaml").read_bytes() == (ROOT / "config/worker.yaml").read_bytes()


def test_only_the_service_that_was_asked_for_is_installed(install, tmp_path):
    install("--worker")
    assert [name for name in files_below(tmp_path / "root") if "orchestrator" in name] == []


def test_the_program_comes_from_the_lock_file_with_its_hashes(install, tmp_path):
    install("--worker")
    calls = (tmp_path / "calls").read_text()
    assert "pip install --quiet --disable-pip-version-check --require-hashes --requirement" in calls
    assert "--no-deps --no-build-isolation" in calls


def test_an_engine_is_added_from_a_lock_file_of_its_own(install, tmp_path):
    done = install("--worker", "--with", "openvino", "--with", "cuda")
    assert done.returncode == 0, done.stderr
    calls = [line for line in (tmp_path / "calls").read_text().splitlines() if "pip" in line]
    order = ("requirements.lock", "requirements-openvino.lock", "uninstall --quiet --yes onnxruntime", "-cuda.lock")
    assert [mark for mark, call in zip(order, calls, strict=False) if mark not in call] == []
    assert all("--require-hashes" in call for call in calls if ".lock" in call)


@pytest.mark.parametrize("engine", ["openvino", "cuda"])
def test_every_engine_that_can_be_added_has_a_lock_file(engine):
    assert "--hash=sha256:" in (ROOT / f"requirements-{engine}.lock").read_text()


def test_configuration_that_is_there_stays_and_units_are_renewed(install, tmp_path):
    install("--worker")
    yaml = tmp_path / "root/etc/benchfleet/worker.yaml"
    unit = tmp_path / "root/etc/systemd/system/benchfleet-worker.service"
    yaml.write_text("device: {name: mine}\n")
    unit.write_text("old")
    done = install("--worker")
    assert yaml.read_text() == "device: {name: mine}\n"
    assert unit.read_text() != "old"
    assert "stays as it is" in done.stdout


@pytest.mark.parametrize("system", ["Linux", "Darwin"])
def test_a_dry_run_says_everything_and_does_nothing(install, tmp_path, system):
    done = install("--worker", "--dry-run", system=system)
    assert done.returncode == 0
    assert not (tmp_path / "root").exists()
    assert not (tmp_path / "calls").exists()
    assert f"cp {ROOT}/config/worker.yaml {tmp_path}/root/etc/benchfleet/worker.yaml" in done.stdout


@pytest.mark.parametrize(
    ("system", "steps"),
    [
        ("Linux", ["systemctl daemon-reload", "systemctl try-restart benchfleet-worker.service", "enable --now"]),
        ("Darwin", ["dscl . -create /Users/_benchfleet", "chown root:wheel", "launchctl bootstrap system"]),
    ],
)
def test_a_dry_run_of_the_real_thing_makes_a_user_and_tells_how_to_start(install, tmp_path, system, steps):
    (tmp_path / "tools/id").write_text("#!/bin/sh\nexit 1\n")  # no user of ours yet
    (tmp_path / "tools/id").chmod(0o755)
    (tmp_path / "tools/systemctl").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "tools/systemctl").chmod(0o755)
    done = install("--worker", "--dry-run", system=system, destdir=False)
    assert done.returncode == 0
    assert [step for step in steps if step not in done.stdout] == []
    assert ("useradd" in done.stdout) is (system == "Linux")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "say which service to install: --orchestrator, --worker, or both"),
        (("--wroker",), "there is no option '--wroker'"),
        (("--worker", "--python"), "--python needs the path of a Python"),
        (("--worker", "--with"), "--with takes openvino or cuda, and not ''"),
        (("--worker", "--with", "tensorflow"), "--with takes openvino or cuda, and not 'tensorflow'"),
    ],
)
def test_used_wrongly_it_says_how_and_exits_with_2(install, arguments, sentence):
    done = install(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_a_python_that_is_missing_or_old_is_refused_before_anything_is_done(install, tmp_path):
    done = install("--worker", "--python", "/no/such/python")
    assert done.returncode == 1
    assert "older than Python 3.11" in done.stderr
    assert not (tmp_path / "root").exists()


def test_other_systems_are_refused(install):
    done = install("--worker", system="FreeBSD")
    assert done.returncode == 1
    assert "this is FreeBSD" in done.stderr
