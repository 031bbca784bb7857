"""The scheme ip: the address that a client comes from.

In an ACL stands an address, or an address and the number of leading bits that
must agree: `10.1.0.0/16`, `2001:db8::/32`. Every connection has the identity of
its address; it does not count as authenticated, for addresses come and go.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from zkserver.base.acl import Id
from zkserver.base.auth_provider import Provider, Verdict
from zkserver.base.errors import ErrorCode

# What Java's Integer.parseInt takes: a sign is allowed, spaces are not.
_is_decimal = re.compile(r"[+-]?[0-9]{1,10}").fullmatch
_is_hexadecimal = re.compile(r"(?=.{1,4}\Z)[+-]?[0-9a-fA-F]+").fullmatch
_GROUPS = 8

Network = tuple[int, int, int]


def java_address(address: str) -> str:
    """`address` as Java's getHostAddress has it: IPv6 in full, mapped IPv4 as IPv4.

    A zone (`%eth0`) is left out. What is no address is given back as it is.
    """
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return ":".join(format(int(group, 16), "x") for group in parsed.exploded.split(":"))


class IpProvider(Provider):
    """The scheme ip."""

    scheme = "ip"
    is_authenticated = False

    def authenticate(self, token: bytes | None, remote_address: str) -> Verdict:  # noqa: ARG002
        """The token does not matter, the address does."""
        return ErrorCode.OK, [Id(self.scheme, java_address(remote_address))]

    def is_valid(self, expression: str) -> bool:
        """An address, or an address and a number of bits."""
        return _parse_network(expression) is not None

    def matches(self, caller_id: str, expression: str) -> bool:
        """Whether the caller's address lies in the network of the ACL entry."""
        network = _parse_network(expression)
        caller = _parse_address(caller_id)
        if network is None or caller is None:
            return False
        address, size_bits, prefix_bits = network
        shift = size_bits - prefix_bits
        return caller[1] == size_bits and caller[0] >> shift == address >> shift


@lru_cache(maxsize=1024)
def _parse_network(expression: str) -> Network | None:
    """Address, its size in bits, and the number of bits to compare."""
    text, slash, prefix = expression.partition("/")
    parsed = _parse_address(text)
    if parsed is None:
        return None
    address, size_bits = parsed
    if not slash:
        return address, size_bits, size_bits
    if not _is_decimal(prefix) or not 0 <= int(prefix) <= size_bits:
        return None
    return address, size_bits, int(prefix)


@lru_cache(maxsize=1024)
def _parse_address(text: str) -> tuple[int, int] | None:
    """An address as a number, and its size in bits; None if it is none to Java."""
    if ":" in text:
        return _parse_ipv6(text)
    parts = text.split(".")
    if len(parts) != 4 or not all(map(_is_decimal, parts)):
        return None
    numbers = [int(part) for part in parts]
    if not all(0 <= number <= 255 for number in numbers):
        return None
    return int.from_bytes(bytes(numbers), "big"), 32


def _parse_ipv6(text: str) -> tuple[int, int] | None:
    halves = text.split("::")
    if len(halves) == 1:
        groups = text.split(":")
        if len(groups) != _GROUPS:
            return None
    elif len(halves) == 2:
        before, after = (half.split(":") if half else [] for half in halves)
        missing = _GROUPS - len(before) - len(after)
        if missing < 1:
            return None
        groups = [*before, *["0"] * missing, *after]
    else:
        return None
    if not all(map(_is_hexadecimal, groups)):
        return None
    address = 0
    for group in groups:
        address = address << 16 | int(group, 16) & 0xFFFF
    return address, 128
