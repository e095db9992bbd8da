"""How a program ends: the one place that turns errors into exit statuses and sentences on stderr."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import structlog

from daemons.core.errors import (
    BenchfleetError,
    ConfigInvalid,
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    Unavailable,
    WorkerReplaced,
)
from daemons.runtime.logs import escape

log = structlog.get_logger(__name__)

DONE: Final = 0
FAILED: Final = 1
"""The work failed, or there is a bug: a service manager starts the program again."""
USED_WRONGLY: Final = 2
UNREACHABLE: Final = 3
MUST_NOT_RESTART: Final = 78
"""EX_CONFIG of sysexits.h: starting the program again would end the same way. The service units name it too."""
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells say it."""

LAUNCHD_LABELS: Final = "benchfleet."
"""What the labels in deploy/launchd begin with."""

_STATUSES: Final[dict[type[BaseException], int]] = {
    BenchfleetError: FAILED,
    InvalidInput: USED_WRONGLY,
    Unavailable: UNREACHABLE,
    ConfigInvalid: MUST_NOT_RESTART,
    WorkerReplaced: MUST_NOT_RESTART,
    KeyboardInterrupt: INTERRUPTED,
}

_STATUSES_OF_COMMANDS: Final = _STATUSES | dict.fromkeys((ConfigInvalid, Conflict, NotAllowed, NotFound), USED_WRONGLY)
"""To somebody who asks a server, what it refuses was asked for wrongly; nobody starts such a program again."""


def run(main: Callable[[], Coroutine[Any, Any, int | None]], environ: Mapping[str, str] = os.environ) -> int:
    """The exit status of the asyncio program `main`; None from it means that all went well."""
    return call(lambda: asyncio.run(main()), environ)


def run_command(main: Callable[[], Coroutine[Any, Any, int | None]]) -> int:
    """As `run`, for a command that a person or a script gives to a server."""
    return call(lambda: asyncio.run(main()), {}, _STATUSES_OF_COMMANDS)


def as_the_manager_reads_it(status: int, environ: Mapping[str, str]) -> int:
    """`status`, but `DONE` for `MUST_NOT_RESTART` in a job of launchd.

    launchd restarts after every status but 0 and can't be told of another; systemd's RestartPreventExitStatus= can.
    launchd puts the job's label into $XPC_SERVICE_NAME.
    """
    under_launchd = environ.get("XPC_SERVICE_NAME", "").startswith(LAUNCHD_LABELS)
    return DONE if status == MUST_NOT_RESTART and under_launchd else status


def call(
    main: Callable[[], int | None],
    environ: Mapping[str, str] = os.environ,
    statuses: Mapping[type[BaseException], int] = _STATUSES,
) -> int:
    """The exit status of `main`: what it returns, or what its error means, which is told on stderr.

    A BenchfleetError is told as a sentence, a bug with its traceback. SystemExit passes.
    """
    try:
        return main() or DONE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (the outermost edge of the program)
        cause = innermost(error)
        _tell(cause)
        return as_the_manager_reads_it(exit_status(cause, statuses), environ)


def exit_status(error: BaseException, statuses: Mapping[type[BaseException], int] = _STATUSES) -> int:
    """What `error` means to whoever started the program."""
    return next((statuses[kind] for kind in type(error).__mro__ if kind in statuses), FAILED)


def innermost(error: BaseException) -> BaseException:
    """The error inside the groups that task groups wrap around a single one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _tell(error: BaseException) -> None:
    match error:
        case KeyboardInterrupt():
            return
        case ConfigInvalid(mistakes=lines) | InvalidInput(mistakes=lines):
            _say(*lines)
        case BenchfleetError():
            _say(str(error))
        case _ if structlog.is_configured():
            log.critical("program failed", exc_info=error)
        case _:
            traceback.print_exception(error)


def _say(*lines: str) -> None:
    for line in lines:
        print(f"benchfleet: {escape(line)}", file=sys.stderr)  # noqa: T201 (a sentence for people, not a log)
