"""What a tool says: results streamed to standard output, trouble in lines on standard error.

Results are bytes in UTF-8 whatever the locale, as znodes hold bytes, collected to some 64 KiB a
write. A bar shows the progress of long work, on standard error, where that is a terminal and the
results do not run over it. `rich` is imported when a bar is shown.

`guarded` turns what files and people do to a tool into one line and an exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from zkserver.base.errors import ExitCode, FatalError
from zkserver.cli.serve import CommandError
from zkserver.storage.compression import CompressionError
from zkserver.storage.snapshot_reader import SnapshotError

WRITE_BYTES = 1 << 16
BAR_BYTES = 1 << 24
"""Files below this size are done before a bar would be seen."""
INTERRUPTED = 130

Advance = Callable[[int], None]
"""Takes how many bytes more are done."""


class Output:
    """Standard output and error of one tool; `flush` at its end."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held_bytes = 0

    def write(self, data: bytes) -> None:
        """Add bytes to the results."""
        self._pieces.append(data)
        self._held_bytes += len(data)
        if self._held_bytes >= WRITE_BYTES:
            self.flush()

    def line(self, text: str) -> None:
        """Add a line to the results; lone surrogates become question marks as in Java."""
        self.write(text.encode("utf-8", "replace") + b"\n")

    def flush(self) -> None:
        """Hand all results to the system."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._held_bytes = 0
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def problem(self, text: str) -> None:
        """A line on standard error, after the results so far."""
        self.flush()
        sys.stderr.write(text.rstrip("\n") + "\n")
        sys.stderr.flush()

    @contextmanager
    def progress(self, what: str, size_bytes: int, *, prints: bool) -> Iterator[Advance]:
        """A bar for work on so many bytes; `prints` says that results come meanwhile."""
        if not _is_bar_seen(sys.stderr, size_bytes, prints=prints):
            yield lambda _: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what.replace("[", r"\["), total=size_bytes)
            yield lambda done_bytes: bar.update(task, advance=done_bytes)


def _is_bar_seen(stream: TextIO, size_bytes: int, *, prints: bool) -> bool:
    if size_bytes < BAR_BYTES or not stream.isatty():
        return False
    return not (prints and sys.stdout.isatty())


def guarded(tool: Callable[[Output], int]) -> int:
    """Run a tool; its exit code, or that of what went wrong, said in one line."""
    output = Output()
    try:
        try:
            code = tool(output)
        finally:
            output.flush()
    except BrokenPipeError:
        # Whoever read the results has enough. Nothing is left to flush at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.UNEXPECTED_ERROR
    except (CommandError, FatalError) as error:
        return _failed(output, str(error), int(error.exit_code))
    except (SnapshotError, CompressionError) as error:
        return _failed(output, str(error))
    except OSError as error:
        named = error.filename and error.strerror
        return _failed(output, f"{error.filename}: {error.strerror}" if named else str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _failed(output: Output, text: str, exit_code: int = ExitCode.UNEXPECTED_ERROR) -> int:
    output.problem(text)
    return exit_code
