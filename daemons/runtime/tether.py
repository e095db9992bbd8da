"""Commands that end with their owner, also when the owner is killed and can't end them itself.

`tethered` turns a command line into one that first runs this file as a script, with nothing but the standard library.
The script ties itself to its owner and becomes the command, under the same process id: signals and the exit status
need no relay.
"""

from __future__ import annotations

import functools
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

PR_SET_PDEATHSIG: Final = 1
OWNER_GONE: Final = 125
NOT_STARTED: Final = 127
FIRST_FD: Final = 3
"""As in `daemons.runtime.sockets`, which this file can't import: it runs as a script."""


def tethered(
    command: Sequence[str],
    *,
    sent: signal.Signals = signal.SIGTERM,
    owner: int | None = None,
    listening: int | None = None,
) -> list[str]:
    """A command line that runs `command` and sends it the signal `sent` when the process `owner` (this one) ends.

    The owner itself must start it. On Linux the tether is to the owner's thread that starts it, so start it from one
    that lives as long as the process does. A command that changes user, or that forks itself away, slips the tether.
    `listening` is the descriptor of a socket, passed on by the owner, that the command finds as systemd hands one down
    (`daemons.runtime.sockets`).
    """
    tie = [sys.executable, "-I", "-S", __file__, str(owner if owner is not None else os.getpid()), str(int(sent))]
    return [*tie, "-" if listening is None else str(listening), *command]


def main(arguments: Sequence[str]) -> NoReturn:
    """Tie this process to its owner, then become the command: ``OWNER SIGNAL SOCKET COMMAND…``, SOCKET maybe ``-``."""
    owner, sent, listening, command = int(arguments[0]), int(arguments[1]), arguments[2], list(arguments[3:])
    if sys.platform == "linux":
        tie_by_kernel(sent)
    else:
        tie_by_watcher(owner, sent)
    if os.getppid() != owner:  # it ended before the tether was on, and would never be noticed
        sys.exit(OWNER_GONE)
    if listening != "-":
        hand_down(int(listening))
    try:
        os.execvp(command[0], command)  # noqa: S606 (no shell is wanted)
    except OSError as error:
        print(f"{command[0]} can't be started: {error.strerror}", file=sys.stderr)  # noqa: T201 (its owner reads it)
        sys.exit(NOT_STARTED)


def hand_down(listening: int) -> None:
    """Put a socket where the command looks for one (sd_listen_fds(3)): only it knows its process id beforehand."""
    os.dup2(listening, FIRST_FD, inheritable=True)
    if listening != FIRST_FD:
        os.close(listening)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")


def tie_by_kernel(sent: int) -> None:
    """Have Linux send this process a signal when its parent ends (prctl(2)); exec keeps that."""
    import ctypes  # noqa: PLC0415 (the importer of `tethered` doesn't need it)

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(sent), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def tie_by_watcher(owner: int, sent: int) -> None:
    """Leave a small process behind that waits for the end of the owner or of this process (macOS, BSD).

    It is a grandchild, so that the command finds no child that it never made, in a session of its own, so that
    Ctrl-C doesn't reach it, and on before this returns.
    """
    me = os.getpid()
    listening, telling = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(listening)
            _watch(owner, me, sent, telling)
        os._exit(0)
    os.close(telling)
    os.waitpid(child, 0)
    is_watched = os.read(listening, 1) == b"."
    os.close(listening)
    if not is_watched:
        sys.exit(OWNER_GONE)


def _watch(owner: int, command: int, sent: int, telling: int) -> NoReturn:
    try:
        first_end = ends_of(owner, command)
        _let_go_of_streams()
        os.write(telling, b".")
        os.close(telling)
        if first_end() == owner:
            os.kill(command, sent)
    except OSError as error:
        print(f"the watcher of process {command} ended: {error}", file=sys.stderr)  # noqa: T201 (its owner reads it)
    finally:
        os._exit(0)


def _let_go_of_streams() -> None:
    """Hold none of the command's pipes open: their readers wait for the end of file."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def ends_of(*processes: int) -> Callable[[], int]:
    """A function that waits until one of the processes ends, and says which. They are watched from now on (kqueue)."""
    kernel: Any = select  # typed for Linux, which has no kqueue
    queue = kernel.kqueue()
    for pid in processes:
        watched = kernel.kevent(
            pid, kernel.KQ_FILTER_PROC, kernel.KQ_EV_ADD | kernel.KQ_EV_ONESHOT, kernel.KQ_NOTE_EXIT
        )
        try:
            queue.control([watched], 0)
        except ProcessLookupError:
            return functools.partial(int, pid)  # it has ended already
    return lambda: int(queue.control(None, 1)[0].ident)


if __name__ == "__main__":
    main(sys.argv[1:])
