"""Which addresses a file may be fetched from, and the connector that checks each address it is about to connect to.

Names are no use here: what counts is the address of the socket, whatever name, literal or redirect led to it.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, Final

import aiohttp

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_TRANSLATED: Final = (
    ipaddress.IPv6Network("64:ff9b::/96"),  # NAT64: some IPv4 address behind it
    ipaddress.IPv6Network("64:ff9b:1::/48"),
    ipaddress.IPv6Network("2002::/16"),  # 6to4, likewise
    ipaddress.IPv6Network("2001::/32"),  # Teredo, likewise
)
_METADATA: Final = frozenset(
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
)
"""Where clouds hand out credentials of their machines, other than at link-local addresses."""


class AddressRefused(OSError):
    """The policy forbids to connect to this address."""


def objection(
    host: str, *, private_allowed: bool, loopback_allowed: bool = True, setting: str = "private_addresses"
) -> str | None:
    """Why nothing is fetched from the address `host`, or None when it may be. `setting` is what allows private ones."""
    address = _unwrapped(ipaddress.ip_address(host))
    if address.is_loopback and not loopback_allowed:
        return f"{address} is this machine itself, and to each device another one"
    kind = _forbidden_kind(address)
    if kind is not None:
        return f"{address} is {kind}, and nothing is ever fetched from there"
    if not address.is_global and not private_allowed:
        return f"{address} is a private address, and {setting} is false"
    return None


def _unwrapped(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _forbidden_kind(address: Address) -> str | None:
    if address.is_loopback:
        return None
    if address.is_link_local:
        return "a link-local address"
    if address in _METADATA:
        return "a cloud's metadata service"
    if address.is_multicast:
        return "a multicast address"
    if address.is_unspecified or address.is_reserved:
        return "no address of a host"
    if isinstance(address, ipaddress.IPv6Address) and any(address in network for network in _TRANSLATED):
        return "a translated address (NAT64, 6to4 or Teredo)"
    return None


class Gate:
    """Makes sockets for allowed addresses only. `refused` holds the objection to the last address that was not.

    `private_allowed` may be changed between two requests: what it says counts for connections made from then on.
    """

    def __init__(
        self, *, private_allowed: bool, loopback_allowed: bool = True, setting: str = "private_addresses"
    ) -> None:
        self.private_allowed = private_allowed
        self._loopback_allowed = loopback_allowed
        self._setting = setting
        self.refused: str | None = None

    def connector(self) -> aiohttp.TCPConnector:
        """A connector, used by one session, each of whose connections has passed the gate."""
        return aiohttp.TCPConnector(socket_factory=self._make_socket, force_close=True)

    def _make_socket(self, info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        self.refused = objection(
            address[0],
            private_allowed=self.private_allowed,
            loopback_allowed=self._loopback_allowed,
            setting=self._setting,
        )
        if self.refused is not None:
            raise AddressRefused(self.refused)
        return socket.socket(family=family, type=kind, proto=protocol)
