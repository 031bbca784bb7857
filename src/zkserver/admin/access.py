"""Who asks: the Authorization header, and what it permits on the root of the tree.

The header is a scheme, a blank and what the scheme takes: `digest user:password`. `ip` takes
nothing, the address of the connection counts (or the first in X-Forwarded-For, where
IPAuthenticationProvider.usexforwardedfor says so); `x509` neither, the certificate of the TLS
handshake counts. Other schemes go to their providers.

All permissions are asked for. Apache's server is content with any one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from zkserver.base import acl, auth
from zkserver.base.acl import Id
from zkserver.base.auth import Providers
from zkserver.base.auth_x509 import X509Provider
from zkserver.base.errors import ErrorCode, LinkError
from zkserver.server.server import Server

_BITS = (acl.READ, acl.WRITE, acl.CREATE, acl.DELETE, acl.ADMIN)
_WITHOUT_TOKEN = ("ip", "x509")

MISSING = "Auth info is missing for the command"
NOT_AUTHENTICATED = "Not authenticated"
NOT_AUTHORIZED = "Not authorized"


@dataclass(frozen=True, slots=True)
class Caller:
    """`address` as the ip scheme is to see it; `subject` of the client's certificate, or ""."""

    authorization: str
    address: str
    subject: str = ""


def client_address(peer_address: str, forwarded_for: str | None, *, trusts_it: bool) -> str:
    """The address of the caller: with `trusts_it` the first in X-Forwarded-For, as in 3.9."""
    if trusts_it and forwarded_for:
        first = next((part for part in forwarded_for.split(",") if part), "").strip()
        return first or peer_address
    return peer_address


def identities(caller: Caller, providers: Providers) -> list[Id]:
    """Whom the caller has shown to be; nobody if the header does not hold."""
    parts = caller.authorization.split(" ")
    scheme = parts[0]
    if len(parts) > 2 or (len(parts) == 1 and scheme not in _WITHOUT_TOKEN):
        return []
    provider = providers.get(scheme)
    if isinstance(provider, X509Provider):
        return provider.identities(caller.subject) if caller.subject else []
    # aiohttp keeps bytes that are no UTF-8 as surrogates.
    token = parts[1].encode("utf-8", "surrogateescape") if len(parts) == 2 else None
    try:
        code, ids = providers.authenticate(scheme, token, caller.address)
    except LinkError:
        return []
    return ids if code is ErrorCode.OK else []


def refusal(caller: Caller, server: Server) -> tuple[int, str] | None:
    """The HTTP status and the reason why the caller may not; None if it may."""
    if not caller.authorization:
        return 401, MISSING
    ids = identities(caller, server.providers)
    if not ids:
        return 401, NOT_AUTHENTICATED
    tree = server.tree
    root_acl = tree.acls.get(tree.root.acl)
    may = all(
        auth.check_acl(root_acl, bit, ids, server.providers, server.config.skip_acl)
        for bit in _BITS
    )
    return None if may else (403, NOT_AUTHORIZED)
