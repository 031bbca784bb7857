"""What can go wrong with a request: one exception class per ZooKeeper code.

All are `ZooKeeperError`s; `str()` of one reads as the message of Apache's client does
("KeeperErrorCode = NoNode for /a"), a detail of our own in brackets behind it. Codes and
texts: org.apache.zookeeper.KeeperException. `error_for` finds the class of a code.

Some codes never come from a server. `ConnectionLoss`: the connection broke after the
request was sent, so nobody knows whether it took effect. `SessionExpired`: the session is
over; nothing that is asked now can succeed. `OperationTimeout`: the client was told to wait
so long and no longer.
"""

from __future__ import annotations

from typing import ClassVar

from zkserver.base.errors import ErrorCode


class ZooKeeperError(Exception):
    """Base of all. `code` as on the wire, `path` as the caller named it (None without one).

    `results`, of a failed multi: None, the culprit, and `RuntimeInconsistency` for the rest.
    """

    code: ClassVar[int] = 0
    text: ClassVar[str] = "Unknown error"

    def __init__(self, path: str | None = None, detail: str = "") -> None:
        super().__init__(path, detail)
        self.path = path
        self.detail = detail
        self.results: tuple[ZooKeeperError | None, ...] = ()

    def __str__(self) -> str:
        about = f" for {self.path}" if self.path else ""
        detail = f" ({self.detail})" if self.detail else ""
        return f"KeeperErrorCode = {self.text}{about}{detail}"


class ServerError(ZooKeeperError):
    """The server failed in a way it has no code for."""

    code, text = ErrorCode.SYSTEMERROR, "SystemError"


class RuntimeInconsistency(ZooKeeperError):
    """In the results of a failed multi: an operation behind the one that failed."""

    code, text = ErrorCode.RUNTIMEINCONSISTENCY, "RuntimeInconsistency"


class DataInconsistency(ZooKeeperError):
    """The server found its data inconsistent."""

    code, text = ErrorCode.DATAINCONSISTENCY, "DataInconsistency"


class ConnectionLoss(ZooKeeperError):
    """The connection broke before the reply came: the outcome is unknown."""

    code, text = ErrorCode.CONNECTIONLOSS, "ConnectionLoss"


class MarshallingError(ZooKeeperError):
    """The server could not read the request."""

    code, text = ErrorCode.MARSHALLINGERROR, "MarshallingError"


class RequestTooLarge(MarshallingError):
    """The request is longer than the server takes (jute.maxbuffer). It was not sent."""


class Unimplemented(ZooKeeperError):
    """The server does not know the operation, or it is switched off there."""

    code, text = ErrorCode.UNIMPLEMENTED, "Unimplemented"


class OperationTimeout(ZooKeeperError):
    """The time to wait that the caller gave is over."""

    code, text = ErrorCode.OPERATIONTIMEOUT, "OperationTimeout"


class BadArguments(ZooKeeperError):
    """The server refuses an argument."""

    code, text = ErrorCode.BADARGUMENTS, "BadArguments"


class InvalidPath(BadArguments, ValueError):
    """The path can name no znode. Raised by the call itself; nothing was sent."""


class NewConfigNoQuorum(ZooKeeperError):
    """A reconfig whose new members are not connected and up to date."""

    code, text = ErrorCode.NEWCONFIGNOQUORUM, "NewConfigNoQuorum"


class ReconfigInProgress(ZooKeeperError):
    """Another reconfig is under way."""

    code, text = ErrorCode.RECONFIGINPROGRESS, "ReconfigInProgress"


class ApiError(ZooKeeperError):
    """The mark between the server's own errors and those of the API; nobody sends it."""

    code, text = ErrorCode.APIERROR, "APIError"


class NoNode(ZooKeeperError):
    """There is no such znode."""

    code, text = ErrorCode.NONODE, "NoNode"


class NoAuth(ZooKeeperError):
    """The ACL does not allow it."""

    code, text = ErrorCode.NOAUTH, "NoAuth"


class BadVersion(ZooKeeperError):
    """The version given is not the znode's."""

    code, text = ErrorCode.BADVERSION, "BadVersion"


class NoChildrenForEphemerals(ZooKeeperError):
    """An ephemeral znode takes no children."""

    code, text = ErrorCode.NOCHILDRENFOREPHEMERALS, "NoChildrenForEphemerals"


class NodeExists(ZooKeeperError):
    """There is such a znode already."""

    code, text = ErrorCode.NODEEXISTS, "NodeExists"


class NotEmpty(ZooKeeperError):
    """The znode has children."""

    code, text = ErrorCode.NOTEMPTY, "Directory not empty"


class SessionExpired(ZooKeeperError):
    """The session is over."""

    code, text = ErrorCode.SESSIONEXPIRED, "Session expired"


class SessionClosed(SessionExpired):
    """The session is over because `close` was called."""


class InvalidCallback(ZooKeeperError):
    """A code of old clients; no server sends it."""

    code, text = ErrorCode.INVALIDCALLBACK, "Invalid callback"


class InvalidAcl(ZooKeeperError):
    """The ACL names a scheme or an id that cannot be, or is empty."""

    code, text = ErrorCode.INVALIDACL, "InvalidACL"


class AuthFailed(ZooKeeperError):
    """The server does not accept the credentials; the session is over for this client."""

    code, text = ErrorCode.AUTHFAILED, "AuthFailed"


class SessionMoved(ZooKeeperError):
    """The session is on another server by now."""

    code, text = ErrorCode.SESSIONMOVED, "Session moved"


class NotReadOnly(ZooKeeperError):
    """A server without a quorum takes no changes."""

    code, text = ErrorCode.NOTREADONLY, "Not a read-only call"


class EphemeralOnLocalSession(ZooKeeperError):
    """A session that only one server knows may not own ephemeral znodes."""

    code, text = ErrorCode.EPHEMERALONLOCALSESSION, "Ephemeral node on local session"


class NoWatcher(ZooKeeperError):
    """There is no such watch to remove."""

    code, text = ErrorCode.NOWATCHER, "No such watcher"


class RequestTimeout(ZooKeeperError):
    """A request waited too long for its reply."""

    code, text = ErrorCode.REQUESTTIMEOUT, "Unknown error REQUESTTIMEOUT"


class ReconfigDisabled(ZooKeeperError):
    """reconfigEnabled is false."""

    code, text = ErrorCode.RECONFIGDISABLED, "Reconfig is disabled"


class SessionClosedRequireAuth(ZooKeeperError):
    """The server serves only who has authenticated, and ended the connection."""

    code = ErrorCode.SESSIONCLOSEDREQUIRESASLAUTH
    text = "Session closed because client failed to authenticate"


class QuotaExceeded(ZooKeeperError):
    """A hard quota would be passed."""

    code, text = ErrorCode.QUOTAEXCEEDED, "Quota has exceeded"


class ThrottledOp(ZooKeeperError):
    """The server has too much to do and let the request fall."""

    code, text = ErrorCode.THROTTLEDOP, "Op throttled due to high load"


class UnknownCode(ZooKeeperError):
    """A code that this client does not know; the detail has its number."""


_LOCAL = (RequestTooLarge, InvalidPath, SessionClosed, UnknownCode)
CLASSES: dict[int, type[ZooKeeperError]] = {
    int(found.code): found
    for found in list(globals().values())
    if isinstance(found, type) and issubclass(found, ZooKeeperError)
    and found is not ZooKeeperError and found not in _LOCAL
}  # fmt: skip
CLASSES[int(ErrorCode.UNKNOWNSESSION)] = SessionExpired
"""The class of each code."""


def error_for(code: int, path: str | None = None, detail: str = "") -> ZooKeeperError:
    """An exception of the class that stands for `code`."""
    found = CLASSES.get(code)
    if found is None:
        return UnknownCode(path, detail or f"code {code}")
    return found(path, detail)
