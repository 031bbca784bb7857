"""The scheme ensemble: a client names the ensemble it wants to talk to.

It identifies nobody and grants nothing; it only turns clients away that were
led to the wrong servers.
"""

from __future__ import annotations

from zkserver.base.auth_provider import Provider, Verdict
from zkserver.base.errors import ErrorCode, LinkError


class EnsembleProvider(Provider):
    """The scheme ensemble. `names` is a comma-separated list; None lets every client in."""

    scheme = "ensemble"
    is_authenticated = False

    def __init__(self, names: str | None = None) -> None:
        self._names = None if names is None else [name.strip() for name in names.split(",")]

    def authenticate(self, token: bytes | None, remote_address: str) -> Verdict:
        """LinkError for a wrong name: the client is to try another server, not to give up."""
        if token and self._names is not None:
            name = token.decode("utf-8", "replace")
            if name not in self._names:
                raise LinkError(f"{remote_address} asked for the ensemble {name!r}")
        return ErrorCode.OK, []

    def is_valid(self, expression: str) -> bool:  # noqa: ARG002
        """No ACL can name an ensemble."""
        return False

    def matches(self, caller_id: str, expression: str) -> bool:  # noqa: ARG002
        """Nothing to match."""
        return False
