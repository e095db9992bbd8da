"""Headers that prove to a source who asks, and which addresses may see them. What is secret shows in no text."""

from __future__ import annotations

import ipaddress

import msgspec
import yarl


class Credential(msgspec.Struct, frozen=True):
    """The headers kept under one name, and the hosts that may see them."""

    name: str
    hosts: frozenset[str]
    headers: dict[str, str]

    def __repr__(self) -> str:
        return f"Credential({self.name!r})"

    def objection(self, url: yarl.URL, *, is_home: bool) -> str | None:
        """Why the headers don't go to `url`; None when they do. `is_home`: no redirect has led to it from elsewhere."""
        if not is_home:
            return "they never follow a redirect to another host or port"
        if host_of(url) not in self.hosts:
            return "this host is none of theirs"
        if url.scheme != "https" and not _is_loopback(host_of(url)):
            return "they are sent by https only"
        return None


def host_of(url: yarl.URL) -> str:
    """The host as it is compared: in lower case, in ASCII, without the dot of the root."""
    return (url.raw_host or "").lower().removesuffix(".")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def same_place(url: yarl.URL, first: yarl.URL) -> bool:
    """Whether both are the same server: the same host and port, or its usual ports for http and https."""
    is_upgrade = first.scheme == "http" and url.scheme == "https" and first.is_default_port() and url.is_default_port()
    return host_of(url) == host_of(first) and (is_upgrade or (url.scheme, url.port) == (first.scheme, first.port))
