"""One life of one server: a thread, a loop on it and a production process on that.

A life begins with `start` and ends once: because it was told to stop, because it was killed, or
because the server gave up, which is its `failure`. Whichever it is, the thread buries the loop
before it ends, so that ports, sockets and tasks end with it. All methods are for other threads.

Two threads of a test never wait for each other's server: whoever waits, waits for a loop, with a
limit. The thread is a daemon, so that a test that hangs can still be ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from zkserver.base.errors import FatalError
from zkserver.testing.errors import NotRunningError, ServerFailedError, TestingError
from zkserver.testing.loop import LifeEnded, ServerLoop
from zkserver.testing.processes import HostedPeer, HostedStandalone
from zkserver.testing.watch import Watch

Result = TypeVar("Result")
Hosted = HostedStandalone | HostedPeer

# Nothing that a server does on its loop takes so long, however busy the machine is.
LIMIT_S = 30.0


class Life:
    """`make_process` is called on the thread; `watch` is told of every change."""

    def __init__(
        self,
        name: str,
        make_loop: Callable[[], ServerLoop],
        make_process: Callable[[ServerLoop], Hosted],
        watch: Watch,
    ) -> None:
        self.name = name
        self.process: Hosted | None = None
        self.failure: ServerFailedError | None = None
        self._make_loop = make_loop
        self._make_process = make_process
        self._watch = watch
        self._loop: ServerLoop | None = None
        self._begun = threading.Event()
        self._gate: threading.Event | None = None
        self._stands = threading.Event()
        self._is_doomed = False
        self._calls: dict[Future[Any], None] = {}
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin, and return when clients are accepted. Raises ServerFailedError if it cannot."""
        self._thread.start()
        if not self._begun.wait(LIMIT_S):
            raise TestingError(f"{self.name} has not started within {LIMIT_S:g} s")
        if self.failure is not None:
            self._join()
            raise self.failure

    @property
    def is_alive(self) -> bool:
        """Whether the server runs, or stands still."""
        return self._loop is not None

    @property
    def is_paused(self) -> bool:
        """Whether it stands still."""
        return self._gate is not None

    # What others have done on the loop

    def submit(self, function: Callable[[], Result]) -> Future[Result]:
        """Call a function on the loop, soon. One that raises ends the server, as any bug does."""
        loop = self._loop
        if loop is None:
            raise NotRunningError(f"{self.name} does not run")
        future: Future[Result] = Future()

        def carry_out() -> None:
            if self._loop is None:
                future.cancel()
            elif not future.cancelled():
                future.set_result(function())
            self._calls.pop(future, None)

        self._calls[future] = None
        try:
            loop.call_soon_threadsafe(carry_out)
        except RuntimeError:
            future.cancel()
        if self._loop is None:
            # It may have ended before it could see this call.
            future.cancel()
        return future

    def call(self, function: Callable[[], Result]) -> Result:
        """Call a function on the loop; what it returns."""
        if self._gate is not None:
            raise NotRunningError(f"{self.name} is paused")
        return self.result(self.submit(function))

    def result(self, future: Future[Result]) -> Result:
        """What a submitted function has returned."""
        try:
            return future.result(LIMIT_S)
        except CancelledError:
            raise self.failure or NotRunningError(f"{self.name} has ended") from None
        except TimeoutError:
            raise TestingError(f"{self.name} does not answer within {LIMIT_S:g} s") from None

    def settle_links(self) -> None:
        """See `ServerLoop.settle_links`; to be submitted."""
        if self._loop is not None:
            self._loop.settle_links()

    # Standing still, and the end

    def pause(self) -> None:
        """Let the loop stand still, as SIGSTOP does; returns when it does."""
        loop = self._loop
        if self._gate is not None:
            raise NotRunningError(f"{self.name} is paused already")
        if loop is None:
            raise NotRunningError(f"{self.name} does not run")
        gate, stands = threading.Event(), threading.Event()

        def stand() -> None:
            stands.set()
            gate.wait()
            if self._is_doomed:
                self._end()

        self._gate, self._stands = gate, stands
        self._tell(loop, stand)
        if not stands.wait(LIMIT_S):
            raise TestingError(f"{self.name} does not stand still within {LIMIT_S:g} s")
        if self._loop is None:
            self._gate = None
            raise NotRunningError(f"{self.name} has ended")

    def resume(self) -> None:
        """Go on with what has gathered meanwhile."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.set()

    def kill(self) -> None:
        """End at once; nothing of the server runs any more when this returns."""
        self._is_doomed = True
        loop = self._loop
        if self._gate is not None:
            self.resume()
        elif loop is not None:
            self._tell(loop, self._end)
        self._join()

    def stop(self) -> None:
        """Let the server end as on SIGTERM."""
        self.resume()
        loop, process = self._loop, self.process
        if loop is not None and process is not None:
            self._tell(loop, process.finish)
        self._join()

    @staticmethod
    def _tell(loop: ServerLoop, callback: Callable[[], object]) -> None:
        try:
            loop.call_soon_threadsafe(callback)
        except RuntimeError:
            # It has ended by itself just now.
            return

    def _end(self) -> None:
        # One that has ended by itself is being buried, and that is not to be disturbed.
        if self._loop is not None:
            raise LifeEnded

    def _join(self) -> None:
        self._thread.join(LIMIT_S)
        if self._thread.is_alive():
            raise TestingError(f"{self.name} does not end within {LIMIT_S:g} s")

    # On the thread

    def _run(self) -> None:
        loop = self._loop = self._make_loop()
        try:
            self._live(loop)
        finally:
            self._loop = None
            loop.bury(resets=self._is_doomed or self.failure is not None)
            if self.process is not None:
                self.process.let_go_of_port()
            for future in list(self._calls):
                future.cancel()
            self._begun.set()
            self._stands.set()
            self._watch.changed()

    def _live(self, loop: ServerLoop) -> None:
        try:
            process = self.process = self._make_process(loop)
            process.accepts_clients = self._begun.set
            loop.set_exception_handler(process.unexpected)
            serving = loop.create_task(process.serve())
            serving.add_done_callback(lambda _: loop.stop())
            loop.run_forever()
            serving.result()
        except FatalError as error:
            self._give_up(error)
        except LifeEnded:
            if not self._is_doomed:
                self._give_up(None if self.process is None else self.process.cause)

    def _give_up(self, cause: BaseException | None) -> None:
        if isinstance(cause, FatalError):
            reason = f"{cause} (exit code {int(cause.exit_code)})"
        else:
            reason = f"an invariant is broken: {cause!r}"
        self.failure = ServerFailedError(f"{self.name} has ended by itself: {reason}")
        self.failure.__cause__ = cause
