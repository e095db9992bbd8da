"""Each error has its exit status and its sentence; only bugs have tracebacks."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from structlog.testing import capture_logs

from daemons.core import errors
from daemons.runtime import boot


def ending(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ConfigInvalid("x"), 78),
        (errors.WorkerReplaced("x"), 78),
        (errors.OrchestratorUnavailable("x"), 3),
        (errors.StoreUnavailable("x"), 3),
        (errors.InvalidInput("x"), 2),
        (errors.TooLarge("x"), 2),
        (errors.NotFound("x"), 1),
        (errors.StaleAttempt("x"), 1),
        (errors.AlreadyRunning("x"), 1),
        (errors.BenchfleetError("x"), 1),
        (ZeroDivisionError("x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_is_an_exit_status(error, status):
    with capture_logs():
        assert boot.call(ending(error), {}) == status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFound("x"), 2),
        (errors.Conflict("x"), 2),
        (errors.NotAuthenticated("x"), 2),
        (errors.ConfigInvalid("x"), 2),
        (errors.InvalidInput("x"), 2),
        (errors.OrchestratorUnavailable("x"), 3),
        (errors.NoRoom("x"), 1),
        (errors.BenchfleetError("x"), 1),
    ],
)
def test_what_a_server_refuses_was_asked_for_wrongly(error, status, capsys):
    async def main():
        raise error

    assert boot.run_command(main) == status
    assert capsys.readouterr().err == "benchfleet: x\n"


def test_every_error_of_ours_has_a_status():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert {boot.exit_status(kind("x")) for kind in kinds} == {1, 2, 3, 78}


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (1, 1), (3, 3)])
def test_a_program_without_an_error_says_its_own_status(returned, status):
    assert boot.call(lambda: returned) == status


def test_an_error_for_people_is_one_sentence_on_stderr(capsys):
    boot.call(ending(errors.NotFound("no campaign \x1b[31mx; see `benchfleet results`")))
    captured = capsys.readouterr()
    assert captured.err == "benchfleet: no campaign \\x1b[31mx; see `benchfleet results`\n"
    assert captured.out == ""


def test_each_mistake_of_a_configuration_is_a_line(capsys):
    boot.call(ending(errors.ConfigInvalid("a; b", mistakes=("f.yaml:1: a", "f.yaml:2: b"))))
    assert capsys.readouterr().err == "benchfleet: f.yaml:1: a\nbenchfleet: f.yaml:2: b\n"


def test_a_bug_is_told_with_its_traceback_where_logs_are_not_set_up(capsys):
    structlog.reset_defaults()
    assert boot.call(ending(ZeroDivisionError("oh"))) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_is_logged_where_logs_are_set_up(capsys):
    with capture_logs() as logs:
        error = ZeroDivisionError("oh")
        boot.call(ending(error))
    assert [(line["log_level"], line["exc_info"]) for line in logs] == [("critical", error)]
    assert capsys.readouterr().err == ""


def test_the_error_inside_task_groups_is_the_one_that_counts(capsys):
    async def main():
        async with asyncio.TaskGroup() as outer:
            outer.create_task(inner())

    async def inner():
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    async def fail():
        raise errors.WorkerReplaced("a newer process has registered")

    assert boot.run(main, {}) == 78
    assert capsys.readouterr().err == "benchfleet: a newer process has registered\n"


def test_an_exit_that_was_asked_for_passes():
    with pytest.raises(SystemExit):
        boot.call(ending(SystemExit(5)))


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({}, 78),
        ({"XPC_SERVICE_NAME": "0"}, 78),
        ({"XPC_SERVICE_NAME": "application.com.apple.Terminal.1"}, 78),
        ({"XPC_SERVICE_NAME": "benchfleet.worker"}, 0),
    ],
)
def test_launchd_is_told_not_to_restart_in_the_one_way_it_knows(environ, status):
    async def main():
        raise errors.WorkerReplaced("x")

    assert boot.run(main, environ) == status
    assert boot.call(ending(errors.ConfigInvalid("x")), environ) == status


def test_under_launchd_a_failure_is_still_a_failure():
    async def main():
        raise errors.NotFound("x")

    assert boot.run(main, {"XPC_SERVICE_NAME": "benchfleet.worker"}) == 1
