"""What a tool says: results streamed to standard output, trouble in lines on standard error.

Results are bytes in UTF-8 whatever the locale, as znodes hold bytes, collected to some 64 KiB a
write. A bar shows the progress of long work, on standard error, where that is a terminal and the
results do not run over it. `rich` is imported when a bar is shown.

`guarded` turns what files and people do to a tool into one line and an exit code.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zkserver.base.errors import ExitCode, FatalError
from zkserver.cli.serve import CommandError

WRITE_BYTES = 1 << 16
LEAST_SEEN = {"bytes": 1 << 24, "znodes": 100_000}
"""Work of less than this is done before a bar would be seen."""
STEPS = 500
INTERRUPTED = 130

Advance = Callable[[int], None]
"""Takes how much more is done."""


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
    def progress(
        self, what: str, total: int, *, prints: bool, unit: str = "bytes"
    ) -> Iterator[Advance]:
        """A bar for work on so many bytes or znodes; `prints` says that results come meanwhile."""
        is_seen = total >= LEAST_SEEN[unit] and sys.stderr.isatty()
        if not is_seen or (prints and sys.stdout.isatty()):
            yield lambda _: None
            return
        from rich import progress
        from rich.console import Console

        is_bytes = unit == "bytes"
        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.DownloadColumn() if is_bytes else progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
        )
        console = Console(stderr=True)
        with progress.Progress(
            *columns, console=console, transient=True, redirect_stdout=False
        ) as bar:
            task = bar.add_task(what, total=total)
            # A look at the clock for each record would cost more than the record.
            pending = 0

            def advance(done: int) -> None:
                nonlocal pending
                pending += done
                if pending * STEPS >= total:
                    bar.update(task, advance=pending)
                    pending = 0

            yield advance


def guarded(tool: Callable[[Output], int]) -> int:
    """Run a tool; its exit code, or that of what went wrong, said in one line."""
    # A tree has no cycles; to look for them again and again would double the time for a large one.
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        return _ended(tool, Output())
    finally:
        if is_collecting:
            gc.enable()


def _ended(tool: Callable[[Output], int], output: Output) -> int:
    # Not above: `zkserver start` has this module too and needs none of storage.
    from zkserver.storage.compression import CompressionError
    from zkserver.storage.snapshot_reader import SnapshotError

    try:
        try:
            return tool(output)
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


def _failed(output: Output, text: str, exit_code: int = ExitCode.UNEXPECTED_ERROR) -> int:
    output.problem(text)
    return exit_code
