"""Listening sockets that outlive a program: whoever starts it holds them open and hands them down (sd_listen_fds(3)).

While the program is started again, connections wait in the socket's backlog, and none is refused.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from typing import Final

from daemons.core.errors import ConfigInvalid

FIRST_FD: Final = 3
"""Where the first inherited socket is, by the protocol of systemd."""
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def inherited_socket(environ: MutableMapping[str, str] = os.environ) -> socket.socket | None:
    """The listening socket that was handed to this process, once; None if there is none for it.

    Processes that this one starts find nothing of it. Raises ConfigInvalid for several sockets, or one that doesn't
    listen: a socket unit that is written wrongly.
    """
    given = {name: environ.pop(name, "") for name in _VARIABLES}
    if given["LISTEN_PID"] != str(os.getpid()) or not given["LISTEN_FDS"].isdigit():
        return None
    count = int(given["LISTEN_FDS"])
    if count == 0:
        return None
    if count > 1:
        raise ConfigInvalid(f"{count} sockets were handed down to listen on, and one is taken: see the .socket unit")
    os.set_inheritable(FIRST_FD, False)
    return _listening(FIRST_FD)


def _listening(descriptor: int) -> socket.socket:
    try:
        found = socket.socket(fileno=descriptor)
        is_listening = bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError as error:
        raise ConfigInvalid(f"what was handed down to listen on is no socket ({error.strerror})") from error
    if not is_listening or found.family not in (socket.AF_INET, socket.AF_INET6):
        raise ConfigInvalid("the socket that was handed down listens on no TCP port: its unit needs ListenStream=")
    return found
