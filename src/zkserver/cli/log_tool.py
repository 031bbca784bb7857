"""Transaction logs: look at one, verify it, repair it, chop it (Apache's TxnLogToolkit).

Lines on standard output are Apache's. Beyond what its tool does:

* damage in the middle does not end the work: `storage.log_scan` finds every record behind it;
* damage is told on standard error and by the exit code 1, where Apache's ends with 0;
* `verify` says in one line whether a server would take the file.

The original is only ever read. A repaired or chopped log is a new file that must not be there yet,
durable under its name when the tool ends with it; if the tool ends otherwise it is gone. It has no
preallocated zeros, which servers do not need.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO

from zkserver.base.errors import ExitCode
from zkserver.base.zxid import hex_zxid
from zkserver.cli import java_time
from zkserver.cli.output import Advance, Output
from zkserver.cli.serve import CommandError
from zkserver.jute import txn_text, txns
from zkserver.jute.codec import JuteError
from zkserver.runtime.disk import RealDisk
from zkserver.storage import log_scan
from zkserver.storage.layout import StorageError, log_zxid
from zkserver.storage.log_scan import Gap, Record, Tail
from zkserver.storage.logreader import LogReader
from zkserver.storage.txnlog import FILE_HEADER, MAGIC, RECORD_END, RECORD_HEAD

QUESTION = "Would you like to fix it (Yes/No/Abort) ? "


@dataclass
class _Findings:
    """What a pass over a log met."""

    records: int = 0
    bad_checksums: int = 0
    gaps: int = 0
    tail: Tail | None = None

    def is_damaged(self) -> bool:
        """Whether anything is there that an unfinished write does not explain by itself."""
        torn = self.tail is not None and self.tail.left_bytes > 0 and not self.tail.is_cut
        return bool(self.bad_checksums or self.gaps or torn)


class _Log:
    """An existing log file and the lines that tell of it."""

    def __init__(self, path: str, output: Output) -> None:
        if not os.path.isfile(path) or not os.access(path, os.R_OK):
            raise CommandError(
                f"File doesn't exist or not readable: {path}", ExitCode.UNEXPECTED_ERROR
            )
        self.path = path
        self.disk = RealDisk()
        self.output = output
        self.findings = _Findings()
        self._clock = java_time.Clock(java_time.short_date)
        try:
            self.header = log_scan.read_header(self.disk, path)
        except StorageError as error:
            raise CommandError(str(error)) from error
        self.header_bytes = FILE_HEADER.pack(MAGIC, *self.header)

    def say_header(self) -> None:
        """The first line of all modes."""
        version, dbid = self.header
        self.output.line(
            f"ZooKeeper Transactional Log File with dbid {dbid} txnlog format version {version}"
        )

    def text(self, record: Record) -> str:
        """A record's line."""
        return txn_text.line(record.entry, self._clock.text(txn_text.time_ms_of(record.entry)))

    def records(self, advance: Advance) -> Iterator[Record]:
        """All records, good and bad; tells of gaps and of the end."""
        findings = self.findings
        for piece in log_scan.scan(self.disk, self.path):
            if isinstance(piece, Record):
                findings.records += 1
                findings.bad_checksums += not piece.is_good
                yield piece
                advance(piece.end - piece.offset)
            elif isinstance(piece, Gap):
                findings.gaps += 1
                self.output.problem(
                    f"{self.path}: damaged: the bytes from offset {piece.offset} to {piece.end} "
                    "do not read as transactions"
                )
            else:
                findings.tail = piece
        self._say_tail()

    def _say_tail(self) -> None:
        tail = self.findings.tail
        if tail is None or not tail.left_bytes:
            return
        how = "an unfinished transaction" if tail.is_cut else "damaged"
        self.output.problem(
            f"{self.path}: {how} at offset {tail.offset}: "
            f"the last {tail.left_bytes} bytes do not read as transactions"
        )

    def say_end(self) -> None:
        """The line after the last record."""
        self.output.line(f"EOF reached after {self.findings.records} txns.")

    def exit_code(self) -> int:
        """1 for a damaged log, after a line that counts what does not match."""
        bad = self.findings.bad_checksums
        if bad:
            records = "1 record does" if bad == 1 else f"{bad} records do"
            self.output.problem(f"{self.path}: damaged: {records} not match the checksum")
        return int(self.findings.is_damaged())


def view(path: str, output: Output) -> int:
    """Print every transaction; 0, or 1 if the file is damaged."""
    log = _Log(path, output)
    log.say_header()
    with output.progress("Reading", log.disk.size(path), prints=True) as advance:
        for record in log.records(advance):
            if not record.is_good:
                output.line(f"CRC ERROR - {log.text(record)}")
            output.line(log.text(record))
    log.say_end()
    return log.exit_code()


def verify(path: str, output: Output) -> int:
    """Say in one line whether a server would take the file as its last log: 0 if so, else 1."""
    log = _Log(path, output)
    first = last = unreadable = 0
    with output.progress("Verifying", log.disk.size(path), prints=False) as advance:
        for record in log.records(advance):
            if not record.is_good:
                output.problem(f"{path}: offset {record.offset}: the checksum does not match")
                continue
            last = txns.peek_zxid(record.entry)
            first = first or last
            try:
                txns.decode(record.entry)
            except JuteError as error:
                unreadable += 1
                output.problem(f"{path}: zxid 0x{hex_zxid(last)}: {error}")
    dropped_bytes = _judge(log, first)
    if unreadable:
        return ExitCode.UNEXPECTED_ERROR
    zxids = f", zxid 0x{hex_zxid(first)} to 0x{hex_zxid(last)}" if first else ""
    end = f"; a server that starts cuts the last {dropped_bytes} bytes" if dropped_bytes else ""
    output.line(f"{path}: good, {log.findings.records} transactions{zxids}{end}")
    return ExitCode.EXECUTION_FINISHED


def _judge(log: _Log, first: int) -> int:
    """How many bytes a server cuts off; StorageError with its words where it refuses the log."""
    folder, _, name = log.path.rpartition("/")
    named = log_zxid(name)
    if first and named is not None and named != first:
        raise StorageError(
            f"{log.path}: the first transaction is 0x{hex_zxid(first)}, the name says otherwise"
        )
    reader = LogReader(log.disk, folder or ".", [(first, name)], max(first - 1, 0))
    for _ in reader:
        pass
    return 0 if reader.torn is None else reader.torn.dropped_bytes


@contextmanager
def _new_file(path: str, header: bytes, what: str) -> Iterator[BinaryIO]:
    """A file that was not there, durable after the block, gone after an exception in it."""
    try:
        file = open(path, "xb")  # noqa: SIM115
    except OSError as error:
        raise CommandError(
            f"{what} file {path} already exists or not writable", ExitCode.UNEXPECTED_ERROR
        ) from error
    is_whole = False
    try:
        with file:
            file.write(header)
            yield file
            file.flush()
            os.fsync(file.fileno())
        is_whole = True
    finally:
        if not is_whole:
            with suppress(OSError):
                os.unlink(path)
    RealDisk().sync_folder(os.path.dirname(path) or ".")


def _put(file: BinaryIO, checksum: int, entry: bytes) -> None:
    file.write(RECORD_HEAD.pack(checksum, len(entry)) + entry + RECORD_END)


def repair(
    path: str, output: Output, *, yes: bool = False, verbose: bool = False, target: str = ""
) -> int:
    """Write `path`.fixed (or `target`) with every record that can be kept.

    Good records are kept as they are. For one whose checksum is wrong the user is asked, unless
    `yes`; it gets a new checksum, or stays as it is. Bytes that are no record, and records that no
    server could decode, are left out, and the exit code is 1 then. `verbose` prints all entries.
    """
    log = _Log(path, output)
    target = target or f"{path}.fixed"
    fixed = lost = 0
    answers = _answers()
    with (
        _new_file(target, log.header_bytes, "Recovery") as file,
        output.progress("Repairing", log.disk.size(path), prints=verbose or not yes) as advance,
    ):
        log.say_header()
        for record in log.records(advance):
            checksum = record.checksum
            if not record.is_good:
                if not _decodes(record.entry):
                    lost += 1
                    output.problem(
                        f"{path}: damaged: left out the record at offset {record.offset}, "
                        "which does not read as a transaction"
                    )
                    continue
                if _is_to_fix(log, record, answers, yes=yes):
                    checksum = record.computed
                    fixed += 1
            if verbose:
                output.line(log.text(record))
            _put(file, checksum, record.entry)
    log.say_end()
    output.line(f"Recovery file {target} has been written with {fixed} fixed CRC error(s)")
    findings = log.findings
    tail = findings.tail
    is_tail_lost = tail is not None and tail.left_bytes > 0 and not tail.is_cut
    return int(lost > 0 or findings.gaps > 0 or is_tail_lost)


def _decodes(entry: bytes) -> bool:
    try:
        txns.decode(entry)
    except JuteError:
        return False
    return True


def _answers() -> Iterator[str]:
    """The words that come on standard input."""
    for line in sys.stdin:
        yield from line.split()


def _is_to_fix(log: _Log, record: Record, answers: Iterator[str], *, yes: bool) -> bool:
    """Ask what to do with a record whose checksum is wrong; CommandError if told to stop."""
    text = log.text(record)
    if yes:
        log.output.line(f"CRC FIXED - {text}")
        return True
    log.output.line(f"CRC ERROR - {text}")
    while True:
        log.output.write(QUESTION.encode())
        log.output.flush()
        answer = next(answers, "").lower()
        if answer in ("y", "yes"):
            return True
        if answer in ("n", "no"):
            return False
        if answer in ("a", "abort"):
            raise CommandError("Recovery aborted.", ExitCode.EXECUTION_FINISHED)
        if not answer:
            raise CommandError(
                "Recovery aborted: no answer on standard input; --yes asks nothing",
                ExitCode.UNEXPECTED_ERROR,
            )


def chop(path: str, zxid: int, output: Output, *, target: str = "") -> int:
    """Write `path`.chopped<zxid> (or `target`) with the records up to `zxid`, which must be there.

    Everything up to it must be good: 1 and no file otherwise.
    """
    log = _Log(path, output)
    target = target or f"{path}.chopped{zxid}"
    failure = CommandError(f"Failed to chop {path}", ExitCode.UNEXPECTED_ERROR)
    with (
        _new_file(target, log.header_bytes, "Chopped") as file,
        output.progress("Chopping", log.disk.size(path), prints=False) as advance,
    ):
        log.say_header()
        for record in log.records(advance):
            if not record.is_good:
                output.problem(
                    f"CRC doesn't match {record.checksum} vs {record.computed} "
                    f"at offset {record.offset}"
                )
                raise failure
            if log.findings.gaps:
                raise failure
            found = txns.peek_zxid(record.entry)
            if found > zxid:
                output.line(f"This log does not contain zxid {hex_zxid(zxid)}")
                raise failure
            _put(file, record.checksum, record.entry)
            if found == zxid:
                break
        else:
            log.say_end()
            raise failure
    output.line(f"Chopping at {hex_zxid(zxid)} new log has {log.findings.records} records")
    return ExitCode.EXECUTION_FINISHED
