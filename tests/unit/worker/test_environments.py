# ruff: noqa: ARG002 (what stands in for pip takes what pip is told)
"""Environments are made once, whole or not at all, and the oldest go. pip is a stand-in here: it makes a folder."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from daemons.core.lifecycle import ReportStatus
from daemons.core.requirement import Requirement
from daemons.core.results import Measurement, Outcome
from daemons.runtime.locks import FileLock
from daemons.worker import environments as module
from daemons.worker.environments import RECORD, Environment, Environments, NotPrepared, of_version
from daemons.worker.installing import NotInstalled, interpreter_of

WANTED = "engine==1.0"


class Pip:
    """Installs nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.installed: list[str] = []
        self.trouble: BaseException | None = None
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def install(self, folder, wanted, index_url, paths):
        self.installed.append(str(wanted))
        interpreter_of(folder).parent.mkdir(parents=True)
        interpreter_of(folder).symlink_to(sys.executable)
        await self.may_go_on.wait()
        if self.trouble is not None:
            raise self.trouble
        return {"engine": wanted.version.replace("*", "9"), "numpy": "2.0"}


@pytest.fixture
def pip(monkeypatch):
    stand_in = Pip()
    monkeypatch.setattr(module, "install", stand_in.install)
    return stand_in


@pytest.fixture
def kept(tmp_path, pip):
    return Environments(tmp_path, allowed=None)


async def use(environments, wanted=WANTED, on_making=list):
    async with environments.using(wanted, on_making) as environment:
        return environment


def folders(place):
    return sorted(path.name.rpartition("-")[0] for path in place.iterdir() if path.is_dir())


async def test_it_is_made_once_and_found_again(kept, pip, tmp_path):
    calls = []
    first = await use(kept, on_making=lambda: calls.append("making"))
    second = await use(Environments(tmp_path, allowed=None), on_making=lambda: calls.append("making"))
    assert first == second
    assert (pip.installed, calls) == ([WANTED], ["making"])


async def test_a_series_comes_to_one_version(kept):
    environment = await use(kept, "engine==1.*")
    assert environment.version == "1.9"
    assert environment.python == str(environment.folder / "bin" / "python")


async def test_those_who_want_it_at_once_wait_for_the_one_that_makes_it(kept, pip):
    pip.may_go_on.clear()
    tasks = [asyncio.create_task(use(kept)) for _ in range(3)]
    while not pip.installed:  # noqa: ASYNC110 (the file lock polls)
        await asyncio.sleep(0.01)
    pip.may_go_on.set()
    assert len({environment.folder for environment in await asyncio.gather(*tasks)}) == 1
    assert pip.installed == [WANTED]


@pytest.mark.parametrize("change", [{"index_url": "http://elsewhere/simple"}, {"PYTHONPATH": "/plugins"}])
async def test_what_was_made_otherwise_is_another_one(kept, pip, tmp_path, monkeypatch, change):
    await use(kept)
    if "PYTHONPATH" in change:
        monkeypatch.setenv("PYTHONPATH", change.pop("PYTHONPATH"))
    await use(Environments(tmp_path, allowed=None, **change))
    assert pip.installed == [WANTED] * 2


async def test_what_is_half_made_is_never_used_and_removed(kept, pip, tmp_path):
    whole = await use(kept)
    (whole.folder / RECORD).unlink()
    (tmp_path / "not-ours").mkdir()
    again = await use(kept)
    assert again.folder != whole.folder
    assert not whole.folder.exists()
    assert (tmp_path / "not-ours").exists(), "only what is called like an environment is ours to remove"
    assert pip.installed == [WANTED] * 2


async def test_a_record_that_can_not_be_read_makes_no_environment(kept, pip):
    (await use(kept)).folder.joinpath(RECORD).write_text('{"recipe": 5}')
    await use(kept)
    assert pip.installed == [WANTED] * 2


async def test_one_whose_interpreter_is_gone_is_made_anew(kept, pip):
    environment = await use(kept)
    interpreter_of(environment.folder).unlink()
    interpreter_of(environment.folder).symlink_to("/nowhere/python")
    await use(kept)
    assert pip.installed == [WANTED] * 2


async def test_a_failed_installation_leaves_nothing_and_is_told(kept, pip, tmp_path):
    pip.trouble = NotInstalled("engine==1.0 can't be installed: there is none")
    with pytest.raises(NotPrepared, match="there is none"):
        await use(kept)
    assert folders(tmp_path) == []
    pip.trouble = None
    await use(kept)


async def test_a_full_disk_is_told(kept, pip, tmp_path):
    pip.trouble = OSError(28, "No space left on device")
    with pytest.raises(NotPrepared, match=r"engine==1\.0 can't be kept on this device: No space left on device"):
        await use(kept)
    assert folders(tmp_path) == []


async def test_a_cancelled_installation_leaves_nothing(kept, pip, tmp_path):
    pip.may_go_on.clear()
    task = asyncio.create_task(use(kept))
    while not pip.installed:  # noqa: ASYNC110 (as above)
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert folders(tmp_path) == []


def test_a_killed_process_s_leftovers_are_cleared_at_the_start_unless_somebody_is_at_work(kept, tmp_path):
    left = tmp_path / "engine-1.0-0123456789ab"
    left.mkdir()
    with FileLock(tmp_path / "lock").held_now():
        kept.clean_up()
    assert left.exists()
    kept.clean_up()
    assert not left.exists()
    Environments(tmp_path / "gone", allowed=None).clean_up()
    assert not (tmp_path / "gone").exists()


# Keeping


async def test_the_least_recently_used_go(pip, tmp_path):
    kept = Environments(tmp_path, allowed=None, keep=2)
    for wanted in ("engine==1.0", "engine==2.0"):
        environment = await use(kept, wanted)
        os.utime(environment.folder / RECORD, (1, 1))
    await use(kept, "engine==1.0")
    await use(kept, "engine==3.0")
    assert folders(tmp_path) == ["engine-1.0", "engine-3.0"]


async def test_one_in_use_stays_and_goes_when_it_is_not(pip, tmp_path):
    kept = Environments(tmp_path, allowed=None, keep=1)
    async with kept.using("engine==1.0", list):
        await use(Environments(tmp_path, allowed=None, keep=1), "engine==2.0")
        assert folders(tmp_path) == ["engine-1.0", "engine-2.0"]
    await use(kept, "engine==2.0")
    assert folders(tmp_path) == ["engine-2.0"]


async def test_no_descriptor_is_left(kept):
    await use(kept)
    before = psutil.Process().num_fds()
    for _ in range(3):
        await use(kept)
    assert psutil.Process().num_fds() == before


# Leave


async def test_nothing_is_installed_without_leave(pip, tmp_path):
    with pytest.raises(NotPrepared, match=r"engine==1\.0: its setting engines\.allowed_packages is empty"):
        await use(Environments(tmp_path, allowed=()))
    with pytest.raises(NotPrepared, match=r"allows openvino, onnxruntime alone; .* can add engine to it"):
        await use(Environments(tmp_path, allowed=["openvino", "onnxruntime"]))
    assert pip.installed == []
    assert list(tmp_path.iterdir()) == []


async def test_names_compare_in_every_spelling(pip, tmp_path):
    kept = Environments(tmp_path, allowed=["My_Engine.x"])
    with pytest.raises(KeyError):  # our pip knows of another package only
        await use(kept, "my-engine-X==1.0")
    assert pip.installed == ["my-engine-X==1.0"]


@pytest.mark.parametrize(
    "wanted", ["--index-url=http://evil==1", "engine", "engine==1.0 --pre", "engine==1.0\n", "engine @ http://evil"]
)
async def test_nothing_but_a_name_and_a_version_reaches_pip(kept, pip, wanted):
    with pytest.raises(NotPrepared, match="engine_version must be a package and its version"):
        await use(kept, wanted)
    assert pip.installed == []


# What was measured


@pytest.mark.parametrize(
    ("resolved", "measured", "is_it"),
    [
        ("1.20.1", "1.20.1", True),
        ("2026.4.1", "2026.4.1-22982-e213fa-releases/2026/4", True),
        ("2025.1.0", "2025.1", True),
        ("1.20.1", "1.20.2", False),
        ("1.20.1", "1.20.10", False),
        ("1.20.1", None, False),
    ],
)
def test_figures_are_kept_if_they_are_of_the_version_that_the_environment_has(resolved, measured, is_it):
    figures = Measurement(engine="E", engine_version=measured, inference_ms_median=2.0)
    environment = Environment(Path("/e"), Requirement("engine", "1.*"), resolved)
    outcome = of_version(Outcome(status=ReportStatus.COMPLETE, measurement=figures), environment)
    assert (outcome.status is ReportStatus.COMPLETE) is is_it
    assert (outcome.measurement.inference_ms_median is not None) is is_it
    if not is_it:
        assert f"came to {resolved}" in outcome.measurement.remark


def test_a_failure_keeps_its_own_reason():
    failed = Outcome(status=ReportStatus.FAILED, measurement=Measurement(remark="not a model"))
    assert of_version(failed, Environment(Path("/e"), Requirement("engine", "1.0"), "1.0")) is failed
