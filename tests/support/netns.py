"""A network of its own for a worker, linked to this machine by a cable that a test can cut (Linux, root, iproute2)."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator


class Cable:
    """Two ends: `host` is this machine's address, `prefix` begins a command line that runs at the other end."""

    def __init__(self, name: str, number: int) -> None:
        self.host, self.far = f"10.213.{number}.1", f"10.213.{number}.2"
        self._near = f"{name}n"
        self._far = f"{name}f"
        self._name = name

    @property
    def prefix(self) -> list[str]:
        return ["ip", "netns", "exec", self._name]

    def lay(self) -> None:
        """Make the network and its link. CalledProcessError where that can't be."""
        ip("netns", "add", self._name)
        ip("link", "add", self._near, "type", "veth", "peer", "name", self._far, "netns", self._name)
        ip("addr", "add", f"{self.host}/30", "dev", self._near)
        ip("link", "set", self._near, "up")
        ip("-n", self._name, "addr", "add", f"{self.far}/30", "dev", self._far)
        ip("-n", self._name, "link", "set", self._far, "up")
        ip("-n", self._name, "link", "set", "lo", "up")

    def cut(self) -> None:
        """From now on nothing arrives, and nobody is told."""
        ip("-n", self._name, "link", "set", self._far, "down")

    def mend(self) -> None:
        """All is as before."""
        ip("-n", self._name, "link", "set", self._far, "up")

    def remove(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "del", self._near)
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("netns", "del", self._name)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def why_not() -> str | None:
    """Why no network can be made here; None if one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need Linux and root"
    if shutil.which("ip") is None:
        return "network namespaces need the command `ip` of iproute2"
    try:
        with cable():
            return None
    except subprocess.CalledProcessError as error:
        return f"network namespaces can't be made here: {error.stderr.decode().strip()}"


@contextlib.contextmanager
def cable() -> Iterator[Cable]:
    """A network and its link, gone at the end."""
    number = secrets.randbelow(250)
    laid = Cable(f"bf{number}{secrets.token_hex(2)}", number)
    try:
        laid.lay()
        yield laid
    finally:
        laid.remove()
