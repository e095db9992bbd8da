"""The units of systemd and launchd agree with the programs, with each other, and with what the managers accept."""

from __future__ import annotations

import configparser
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daemons.core.settings import HttpSettings, WorkerSettings
from daemons.orchestrator.daemon import DRAIN_TIMEOUT_S, SHUTDOWN_TIMEOUT_S
from daemons.runtime.boot import LAUNCHD_LABELS, MUST_NOT_RESTART
from daemons.store.embedded import START_TIMEOUT_S, STOP_TIMEOUT_S
from daemons.worker.daemon import FAREWELL_S

DEPLOY = Path(__file__).parents[3] / "deploy"
PROGRAMS = ("orchestrator", "worker")
EACH = pytest.mark.parametrize("program", PROGRAMS)

LONGEST_STOP_S = {
    "orchestrator": DRAIN_TIMEOUT_S + SHUTDOWN_TIMEOUT_S + STOP_TIMEOUT_S,
    "worker": WorkerSettings().limits.drain_timeout_s + FAREWELL_S,
}


def unit(program):
    parser = configparser.ConfigParser(strict=True, interpolation=None, delimiters=("=",))
    parser.optionxform = str
    parser.read(DEPLOY / "systemd" / f"benchfleet-{program}.service")
    return parser


def job(program):
    return plistlib.loads((DEPLOY / "launchd" / f"benchfleet.{program}.plist").read_bytes())


@EACH
def test_systemd_accepts_the_unit(program, tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed, so the units were not verified")
    name = f"benchfleet-{program}.service"
    text = (DEPLOY / "systemd" / name).read_text()
    assert "/opt/benchfleet/bin/benchfleet" in text
    (tmp_path / name).write_text(text.replace("/opt/benchfleet/bin/benchfleet", sys.executable))
    done = subprocess.run([analyze, "verify", "--man=no", tmp_path / name], capture_output=True, text=True, check=False)
    about_ours = [line for line in (done.stdout + done.stderr).splitlines() if "benchfleet" in line]
    assert (done.returncode, about_ours) == (0, [])


def test_systemd_accepts_the_socket_beside_its_service(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed, so the units were not verified")
    for kind in ("service", "socket"):
        name = f"benchfleet-orchestrator.{kind}"
        text = (DEPLOY / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/benchfleet/bin/benchfleet", sys.executable))
    command = [analyze, "verify", "--man=no", tmp_path / "benchfleet-orchestrator.socket"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    about_ours = [line for line in (done.stdout + done.stderr).splitlines() if "benchfleet" in line]
    assert (done.returncode, about_ours) == (0, [])


def test_the_socket_is_where_the_configuration_has_the_api_by_default():
    text = (DEPLOY / "systemd/benchfleet-orchestrator.socket").read_text()
    assert f"ListenStream={HttpSettings().host}:{HttpSettings().port}" in text


@EACH
def test_both_managers_start_the_same_command_from_the_yaml_file(program):
    command = ["/opt/benchfleet/bin/benchfleet", program, "--config", f"/etc/benchfleet/{program}.yaml"]
    assert unit(program)["Service"]["ExecStart"].split() == command
    assert job(program)["ProgramArguments"] == command


@EACH
def test_both_managers_wait_longer_than_the_longest_orderly_stop(program):
    assert float(unit(program)["Service"]["TimeoutStopSec"]) > LONGEST_STOP_S[program]
    assert job(program)["ExitTimeOut"] > LONGEST_STOP_S[program]


def test_systemd_waits_longer_than_the_embedded_server_may_take_to_start():
    assert float(unit("orchestrator")["Service"]["TimeoutStartSec"]) > START_TIMEOUT_S


@EACH
def test_a_failure_restarts_and_bad_configuration_does_not(program):
    service = unit(program)["Service"]
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == str(MUST_NOT_RESTART)
    assert unit(program)["Unit"]["StartLimitIntervalSec"] == "0"
    assert job(program)["KeepAlive"] == {"SuccessfulExit": False}
    assert job(program)["RunAtLoad"] is True


@EACH
def test_the_program_knows_that_it_is_launchds_job(program):
    """Else status 78 would restart it for ever: see `boot.as_the_manager_reads_it`."""
    assert job(program)["Label"] == f"benchfleet.{program}"
    assert job(program)["Label"].startswith(LAUNCHD_LABELS)


@EACH
def test_readiness_and_the_watchdog_are_the_programs_own_word(program):
    service = unit(program)["Service"]
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    assert float(service["WatchdogSec"]) >= 10


@EACH
def test_state_is_in_a_folder_of_the_programs_own(program):
    assert unit(program)["Service"]["StateDirectory"] == f"benchfleet/{program}"
    folder = f"/Library/Application Support/benchfleet/{program}"
    assert job(program)["EnvironmentVariables"]["STATE_DIRECTORY"] == folder
    assert job(program)["WorkingDirectory"] == folder


@EACH
def test_nobody_runs_as_root(program):
    assert unit(program)["Service"]["User"] == "benchfleet"
    assert unit(program)["Service"]["NoNewPrivileges"] == "yes"
    assert job(program)["UserName"] == "_benchfleet"


@EACH
def test_the_signal_to_stop_goes_to_the_program_alone(program):
    assert unit(program)["Service"]["KillMode"] == "mixed"


@EACH
def test_launchd_does_not_throttle(program):
    assert job(program)["ProcessType"] == "Interactive"
    assert job(program)["ThrottleInterval"] <= 10


@EACH
def test_both_streams_go_to_the_programs_log(program):
    assert (
        job(program)["StandardErrorPath"]
        == job(program)["StandardOutPath"]
        == f"/Library/Logs/benchfleet/{program}.log"
    )


def test_the_workers_hardening_breaks_no_measurement():
    service = unit("worker")["Service"]
    assert (service["OOMPolicy"], service["Delegate"]) == ("continue", "yes")
    forbidden = {
        "PrivateDevices",  # hides GPUs
        "DevicePolicy",
        "ProtectControlGroups",  # the child's memory limit
        "ProtectProc",  # other processes' load
        "ProcSubset",
        "MemoryDenyWriteExecute",  # kernels compiled while running
        "SystemCallFilter",  # drivers of GPUs
        "PrivateUsers",  # the groups that own GPUs
        "DynamicUser",
        "PrivateNetwork",
        "MemoryMax",
        "CPUQuota",
        "Nice",
    }
    assert forbidden & set(service) == set()
