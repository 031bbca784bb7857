"""A program in a pseudo terminal: type keys, wait for what is on the screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x1b\][^\x07]*\x07")
WAIT_S = 15.0


class Terminal:
    """A child with a terminal of 120 by 40. A context manager: the child is gone behind it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.raw = ""
        self._seen = 0
        self.process_id, self._fd = pty.fork()
        if self.process_id == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
                # The terminal has its size before anybody asks, and no variable says another one.
                unsized = {k: v for k, v in environment.items() if k not in ("COLUMNS", "LINES")}
                os.execvpe(command[0], list(command), unsized)
            finally:
                os._exit(127)
        self.exit_code: int | None = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.exit_code is None:
            os.kill(self.process_id, signal.SIGKILL)
            self._reap()
        os.close(self._fd)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._fd, keys.encode())

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until a pattern shows behind what was waited for before."""
        deadline = time.monotonic() + WAIT_S
        while True:
            found = re.compile(pattern).search(self.text, self._seen)
            if found:
                self._seen = found.end()
                return found
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"no {pattern!r} in {self.text[self._seen :]!r}")

    @property
    def text(self) -> str:
        """All that was shown, without colours and movements."""
        return CONTROL.sub("", self.raw).replace("\r", "")

    def leave(self, key: str = "\x04") -> int:
        """Press a key until the child ends, which may be busy at first; its exit code."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            try:
                self.type(key)
            except OSError:
                break
            pressed = time.monotonic()
            while self._read(0.3):
                pass
            if time.monotonic() - pressed < 0.3:
                break
        return self.ended()

    def ended(self) -> int:
        """Wait for the child's end; its exit code."""
        deadline = time.monotonic() + WAIT_S
        while self._read(deadline - time.monotonic()):
            pass
        if time.monotonic() >= deadline:
            raise AssertionError(f"it does not end; it showed {self.text!r}")
        return self._reap()

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], max(timeout_s, 0))
        if not ready:
            return False
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            return False
        self.raw += data.decode("utf-8", "replace")
        return bool(data)

    def _reap(self) -> int:
        _, status = os.waitpid(self.process_id, 0)
        self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code
