"""Who may ask the console what: requests of other sites, and the credentials of changes.

A browser sends requests for any page that its user happens to look at. So

* the name in Host must be an address, localhost, this machine's name or one that the
  configuration gives this server: a name of somebody else's that leads here (DNS rebinding) is
  none of them;
* everything but the page itself needs the header `X-Zkserver-Console`, which no page of another
  origin may send, and what the browser says of the origin (Origin, Sec-Fetch-Site) must agree;
* a change is a POST of JSON with credentials.

Raises `Refused`, which is an answer.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
from collections.abc import Mapping
from typing import Any

from zkserver.admin.access import client_address
from zkserver.admin.console_sessions import Credentials
from zkserver.base.config import Config

HEADER = "X-Zkserver-Console"
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:/@]+))(?::[0-9]{1,5})?")


class Refused(Exception):
    """The request is not carried out: HTTP status and the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def own_names(config: Config) -> frozenset[str]:
    """The names, folded, under which this server may be asked."""
    names = {"localhost", socket.gethostname(), config.admin_server_address}
    names.add(config.client_port_address)
    member = config.membership.find(config.server_id)
    if member is not None:
        names.update(each.host for each in member.addresses)
        names.add(member.client_host)
    return frozenset(each.casefold().rstrip(".") for each in names if each)


def check_host(host: str | None, names: frozenset[str]) -> None:
    """Refuse a Host header that is somebody else's name."""
    found = _HOST.fullmatch(host or "")
    if found is not None:
        name = found["six"] or found["name"]
        if found["name"] and name.casefold().rstrip(".") in names:
            return
        try:
            ipaddress.ip_address(name)
            return
        except ValueError:
            pass
    raise Refused(
        421,
        "This is not the name of this server: use its address, or the name that "
        "admin.serverAddress or server.N gives it",
    )


def check_same_site(headers: Mapping[str, str]) -> None:
    """Refuse what does not come from the console's own page, or from a program."""
    if headers.get(HEADER) is None:
        raise Refused(403, f"The header {HEADER} is missing")
    if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise Refused(403, "A request of another site")
    origin, host = headers.get("Origin"), headers.get("Host")
    # A proxy may speak TLS to the browser and none to us.
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        raise Refused(403, "A request of another origin")


def check_change(headers: Mapping[str, str], method: str) -> None:
    """Refuse what is no POST of JSON."""
    if method != "POST":
        raise Refused(405, "Changes are made with POST")
    kind = headers.get("Content-Type", "").partition(";")[0].strip().casefold()
    if kind != "application/json":
        raise Refused(415, "Changes are sent as application/json")


def credentials_of(
    headers: Mapping[str, str], peer_address: str, *, trusts_forwarded: bool
) -> Credentials:
    """What the Authorization header says: `digest user:password`, or nothing."""
    address = client_address(
        peer_address, headers.get("X-Forwarded-For"), trusts_it=trusts_forwarded
    )
    given = headers.get("Authorization", "")
    if not given:
        return Credentials("", address)
    scheme, _, token = given.partition(" ")
    user, colon, _ = token.partition(":")
    if scheme.casefold() != "digest" or not user or not colon:
        raise Refused(401, "Credentials are given as: digest user:password")
    return Credentials(token, address)


def json_object(body: bytes) -> dict[str, Any]:
    """A body that must be a JSON object."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "The body is no JSON") from None
    if not isinstance(found, dict):
        raise Refused(400, "The body is no JSON object")
    return found


def text(given: Mapping[str, Any], name: str) -> str:
    """A member that must be text."""
    value = given.get(name)
    if not isinstance(value, str):
        raise Refused(400, f"{name} must be given, as text")
    return value


def integer(given: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """A member that must be an integer within these limits."""
    value = given.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Refused(400, f"{name} must be given, as an integer from {least} to {most}")
    return value
