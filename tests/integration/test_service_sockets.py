"""A listening socket that somebody holds: found as systemd hands one down, and open while its server is away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from daemons.runtime.tether import tethered

ASK = """
import os, subprocess, sys
from daemons.core.errors import ConfigInvalid
from daemons.runtime.sockets import inherited_socket
try:
    found = inherited_socket()
except ConfigInvalid as error:
    print("refused:", error)
else:
    print("none" if found is None else found.getsockname()[1], end=" ")
    left = [name for name in os.environ if name.startswith("LISTEN_")]
    print(left, found is not None and os.get_inheritable(found.fileno()))
"""
SERVE = """
import sys
from daemons.runtime.sockets import inherited_socket
server = inherited_socket()
while True:
    connection, _ = server.accept()
    connection.sendall(b"served")
    connection.close()
"""


def ask(command, descriptors=(), **environ):
    done = subprocess.run(
        command, env={**os.environ, **environ}, pass_fds=descriptors, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def asked_with(script, held):
    return [*tethered([sys.executable, "-c", script], listening=held.fileno())], (held.fileno(),)


def test_a_socket_that_is_handed_down_is_found_and_goes_no_further():
    with socket.create_server(("127.0.0.1", 0)) as held:
        command, descriptors = asked_with(ASK, held)
        assert ask(command, descriptors) == f"{held.getsockname()[1]} [] False"


@pytest.mark.parametrize(
    "environ",
    [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_FDS": "1"}],
    ids=["nothing", "another's", "nobody's"],
)
def test_what_was_meant_for_another_process_is_left_alone(environ):
    """And is not handed on: a child of ours would take it for its own."""
    assert ask([sys.executable, "-c", ASK], **environ) == "none [] False"


@pytest.mark.parametrize(
    ("kind", "said"),
    [(socket.SOCK_STREAM, "listens on no TCP port"), (socket.SOCK_DGRAM, "listens on no TCP port")],
    ids=["connected to nothing", "datagrams"],
)
def test_a_socket_that_does_not_listen_is_refused(kind, said):
    with socket.socket(socket.AF_INET, kind) as held:
        command, descriptors = asked_with(ASK, held)
        assert said in ask(command, descriptors)


def test_several_sockets_are_refused():
    script = f"import os; os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2')\n{ASK}"
    assert "2 sockets were handed down" in ask([sys.executable, "-c", script])


def test_a_file_is_no_socket(tmp_path):
    with (tmp_path / "file").open("w") as held:
        command, descriptors = asked_with(ASK, held)
        assert "is no socket" in ask(command, descriptors)


def test_while_the_server_is_started_again_connections_wait_and_none_is_refused():
    with socket.create_server(("127.0.0.1", 0), backlog=64) as held:
        command, descriptors = asked_with(SERVE, held)
        for _ in range(3):
            waiting = [socket.create_connection(held.getsockname(), timeout=20) for _ in range(5)]
            server = subprocess.Popen(command, pass_fds=descriptors)
            try:
                assert [connection.recv(100) for connection in waiting] == [b"served"] * 5
            finally:
                server.send_signal(signal.SIGKILL)
                server.wait()
                for connection in waiting:
                    connection.close()
