"""What goes wrong with servers in a test, as exceptions for the test."""

from __future__ import annotations


class TestingError(RuntimeError):
    """What was asked of a server cannot be done now, or was not done in time."""

    # pytest looks for classes of this name.
    __test__ = False


class NotRunningError(TestingError):
    """The server was killed, paused or closed, and was asked for what only a running one does."""


class ServerFailedError(TestingError):
    """A server ended by itself; the message has its exit code and reason."""
