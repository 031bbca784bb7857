"""The three kinds of error, and the codes the wire gives them.

* `ClientError`: the client's own. Its code travels in the reply header; the
  connection is kept. Codes: `KeeperException.Code` of the client API.
* `LinkError`: a broken frame or protocol. It closes that connection only.
* `FatalError`: a failed disk or a broken invariant. It ends the process, with
  one of the `ExitCode`s that Apache ZooKeeper uses.
"""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """Error codes as they stand in ReplyHeader.err."""

    OK = 0
    SYSTEMERROR = -1
    RUNTIMEINCONSISTENCY = -2
    DATAINCONSISTENCY = -3
    CONNECTIONLOSS = -4
    MARSHALLINGERROR = -5
    UNIMPLEMENTED = -6
    OPERATIONTIMEOUT = -7
    BADARGUMENTS = -8
    UNKNOWNSESSION = -12
    NEWCONFIGNOQUORUM = -13
    RECONFIGINPROGRESS = -14
    APIERROR = -100
    NONODE = -101
    NOAUTH = -102
    BADVERSION = -103
    NOCHILDRENFOREPHEMERALS = -108
    NODEEXISTS = -110
    NOTEMPTY = -111
    SESSIONEXPIRED = -112
    INVALIDCALLBACK = -113
    INVALIDACL = -114
    AUTHFAILED = -115
    SESSIONMOVED = -118
    NOTREADONLY = -119
    EPHEMERALONLOCALSESSION = -120
    NOWATCHER = -121
    REQUESTTIMEOUT = -122
    RECONFIGDISABLED = -123
    SESSIONCLOSEDREQUIRESASLAUTH = -124
    QUOTAEXCEEDED = -125
    THROTTLEDOP = -127


class ExitCode(IntEnum):
    """Process exit codes of Apache ZooKeeper (org.apache.zookeeper.server.ExitCode)."""

    EXECUTION_FINISHED = 0
    UNEXPECTED_ERROR = 1
    INVALID_INVOCATION = 2
    UNABLE_TO_ACCESS_DATADIR = 3
    ERROR_STARTING_ADMIN_SERVER = 4
    TXNLOG_ERROR_TAKING_SNAPSHOT = 10
    UNMATCHED_TXN_COMMIT = 12
    QUORUM_PACKET_ERROR = 13
    UNABLE_TO_BIND_QUORUM_PORT = 14


class ClientError(Exception):
    """A request that is refused: `code` goes into the reply, nothing is lost."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.name)
        self.code = code


class LinkError(Exception):
    """A peer that broke the protocol: its connection is closed, with this reason."""


class FatalError(Exception):
    """The server cannot go on without risking what it promised."""

    def __init__(self, exit_code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
