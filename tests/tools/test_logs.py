"""Transaction logs under the tools: viewed, verified, repaired and chopped."""

from __future__ import annotations

from pathlib import Path
from struct import Struct
from zlib import adler32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.histories import entries as plain_entries
from tests.tools import logs
from tests.tools.conftest import Tool
from zkserver.runtime.disk import RealDisk
from zkserver.sim.disk import SimDisk
from zkserver.storage import log_scan
from zkserver.storage.log_scan import Gap, Record, Tail

ENTRIES = logs.every_type()
COUNT = len(ENTRIES)
PLAIN = plain_entries(1, 5, b"some data")
HEAD_LINE = "ZooKeeper Transactional Log File with dbid 0 txnlog format version 2\n"
WHEN = "11/14/23, 10:13:20 PM UTC"


@pytest.fixture(name="log")
def _log(tmp_path: Path) -> Path:
    path = tmp_path / "log.1"
    path.write_bytes(logs.log_of(PLAIN))
    return path


def damage(log: Path, index: int, within: int = 20) -> None:
    log.write_bytes(logs.flipped(log.read_bytes(), logs.offsets(PLAIN)[index] + within))


def read_back(path: Path) -> list[Record]:
    pieces = list(log_scan.scan(RealDisk(), str(path)))
    assert isinstance(pieces[-1], Tail)
    assert pieces[-1].left_bytes == 0
    assert all(isinstance(piece, Record) for piece in pieces[:-1])
    return [piece for piece in pieces if isinstance(piece, Record)]


def test_view_prints_a_line_for_each_transaction(tool: Tool, log: Path) -> None:
    done = tool("zkserver", "log", "view", log)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines(keepends=True)
    assert lines[0] == HEAD_LINE
    assert lines[1] == f"{WHEN} session 0x1 cxid 0x0 zxid 0x1 setData /,some data,1\n"
    assert lines[-1] == "EOF reached after 5 txns.\n"
    assert tool("zkTxnLogToolkit.sh", log) == done
    assert tool("zkTxnLogToolkit.sh", "--dump", log) == done


def test_view_shows_a_wrong_checksum_and_goes_on(tool: Tool, log: Path) -> None:
    damage(log, 2, within=60)
    done = tool("zkserver", "log", "view", log)
    assert done.code == 1
    assert done.out.count("CRC ERROR - ") == 1
    assert done.out.endswith("EOF reached after 5 txns.\n")
    assert done.err == f"{log}: damaged: 1 record does not match the checksum\n"


def test_view_goes_on_behind_bytes_that_are_no_record(tool: Tool, log: Path) -> None:
    start, end = logs.offsets(PLAIN)[2:4]
    damage(log, 2, within=9)
    done = tool("zkserver", "log", "view", log)
    assert done.code == 1
    assert "zxid 0x4 " in done.out
    assert "zxid 0x3 " not in done.out
    assert done.err == (
        f"{log}: damaged: the bytes from offset {start} to {end} do not read as transactions\n"
    )


def test_view_says_what_it_cannot_decode(tool: Tool, log: Path) -> None:
    unknown = Struct(">qiqqi").pack(1, 1, 6, 0, 99) + b"abc"
    short = Struct(">qiqqi").pack(1, 1, 7, 0, 5) + b"abc"
    log.write_bytes(logs.log_of([*PLAIN, unknown, short]))
    done = tool("zkserver", "log", "view", log)
    assert "zxid 0x6 unknown 99 <35 bytes that do not read: unknown transaction" in done.out
    assert "zxid 0x7 setData <35 bytes that do not read: record ends early>" in done.out
    assert "EOF reached after 7 txns." in done.out
    assert tool("zkserver", "log", "verify", log).code == 1


@pytest.mark.parametrize("kept", [20, 60])
def test_an_unfinished_end_is_told_and_no_error(tool: Tool, log: Path, kept: int) -> None:
    start = logs.offsets(PLAIN)[4]
    log.write_bytes(log.read_bytes()[: start + kept])
    done = tool("zkserver", "log", "view", log)
    assert done.code == 0
    assert done.out.endswith("EOF reached after 4 txns.\n")
    assert f"an unfinished transaction at offset {start}: the last {kept} bytes" in done.err
    verified = tool("zkserver", "log", "verify", log)
    assert verified.code == 0
    assert f"a server that starts cuts the last {kept} bytes" in verified.out


@pytest.mark.parametrize("command", ["view", "verify", "repair", "chop"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "File doesn't exist or not readable"),
        (b"", "0 bytes are less than its header"),
        (b"ZKLG\0\0", "6 bytes are less than its header"),
        (b"ZKSN" + bytes(100), 'begins with 5a4b534e and not with 5a4b4c47, "ZKLG"'),
    ],
)
def test_what_is_no_log_is_refused_in_one_line(
    tool: Tool, log: Path, command: str, content: bytes | None, message: str
) -> None:
    log.unlink()
    if content is not None:
        log.write_bytes(content)
    done = tool("zkserver", "log", command, log, *(["1"] if command == "chop" else []))
    assert done.code == (1 if content is None else 2)
    assert done.out == ""
    assert message in done.err
    assert done.err.count("\n") == 1
    assert sorted(log.parent.iterdir()) == ([log] if content is not None else [])


def test_a_folder_is_no_log(tool: Tool, tmp_path: Path) -> None:
    assert "not readable" in tool("zkserver", "log", "view", tmp_path).err


def test_verify_tells_what_a_server_would_say(tool: Tool, log: Path) -> None:
    done = tool("zkserver", "log", "verify", log)
    assert done == (0, f"{log}: good, 5 transactions, zxid 0x1 to 0x5\n", "")
    good = log.read_bytes()
    damage(log, 1, within=50)
    done = tool("zkserver", "log", "verify", log)
    assert (done.code, done.out) == (1, "")
    assert "the checksum does not match" in done.err
    assert "damaged at offset" in done.err
    log.write_bytes(logs.log_of([*PLAIN[:2], *PLAIN[3:]]))
    done = tool("zkserver", "log", "verify", log)
    assert done.code == 1
    assert "the transactions from 0x3 to 0x3 are missing" in done.err
    misnamed = log.parent / "log.2"
    misnamed.write_bytes(good)
    assert "the name says otherwise" in tool("zkserver", "log", "verify", misnamed).err


def test_repair_asks_for_each_wrong_checksum(tool: Tool, log: Path) -> None:
    for index in (0, 2, 4):
        damage(log, index, within=55)
    before = log.read_bytes()
    done = tool("zkserver", "log", "repair", log, answers="what\nyes N\n\ny\n")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("Would you like to fix it (Yes/No/Abort) ? ") == 4
    assert done.out.endswith(
        f"EOF reached after 5 txns.\n"
        f"Recovery file {log}.fixed has been written with 2 fixed CRC error(s)\n"
    )
    fixed = read_back(Path(f"{log}.fixed"))
    assert [record.is_good for record in fixed] == [True, True, False, True, True]
    assert log.read_bytes() == before


@pytest.mark.parametrize(
    ("answers", "code", "message"),
    [("a\n", 0, "Recovery aborted."), ("", 1, "no answer on standard input")],
)
def test_an_aborted_repair_leaves_no_file(
    tool: Tool, log: Path, answers: str, code: int, message: str
) -> None:
    damage(log, 1, within=55)
    done = tool("zkTxnLogToolkit.sh", "-r", log, answers=answers)
    assert done.code == code
    assert message in done.err
    assert list(log.parent.iterdir()) == [log]


def test_repair_never_writes_over_a_file(tool: Tool, log: Path) -> None:
    there = Path(f"{log}.fixed")
    there.write_bytes(b"mine")
    before = log.read_bytes()
    done = tool("zkTxnLogToolkit.sh", "-r", "-y", log)
    assert done == (1, "", f"Recovery file {there} already exists or not writable\n")
    assert there.read_bytes() == b"mine"
    assert tool("zkserver", "log", "repair", log, "-o", log).code == 1
    assert tool("zkserver", "log", "repair", log, "-o", log.parent / "no" / "file").code == 1
    assert log.read_bytes() == before
    assert tool("zkserver", "log", "repair", log, "--output", log.parent / "new").code == 0
    assert (log.parent / "new").read_bytes() == before.rstrip(b"\0")


def test_repair_leaves_out_what_does_not_read(tool: Tool, log: Path) -> None:
    damage(log, 1, within=9)
    damage(log, 3, within=12 + 31)
    done = tool("zkTxnLogToolkit.sh", "-r", "-y", "-v", log)
    assert done.code == 1
    assert "do not read as transactions" in done.err
    assert "left out the record at offset" in done.err
    assert [record.entry for record in read_back(Path(f"{log}.fixed"))] == [
        PLAIN[0],
        PLAIN[2],
        PLAIN[4],
    ]
    assert done.out.count(" setData ") == 3


def test_chop_keeps_what_is_up_to_the_zxid(tool: Tool, log: Path) -> None:
    done = tool("zkTxnLogToolkit.sh", "-c", "-z", "0x3", log)
    assert done == (0, f"{HEAD_LINE}Chopping at 3 new log has 3 records\n", "")
    chopped = Path(f"{log}.chopped3")
    assert chopped.read_bytes() == logs.log_of(PLAIN[:3], b"")
    assert tool("zkserver", "log", "chop", log, "3").code == 1
    assert tool("zkserver", "log", "chop", log, "5", "-o", log.parent / "new").code == 0
    assert (log.parent / "new").read_bytes() == logs.log_of(PLAIN, b"")


@pytest.mark.parametrize(
    ("zxid", "code", "message"),
    [
        ("7", 1, "Failed to chop"),
        ("2", 1, "Failed to chop"),
        ("five", 2, "'five' is no zxid"),
        ("-3", 2, "'-3' is no zxid"),
    ],
)
def test_chop_without_that_zxid_leaves_no_file(
    tool: Tool, log: Path, zxid: str, code: int, message: str
) -> None:
    log.write_bytes(logs.log_of([PLAIN[0], *PLAIN[2:]]))
    done = tool("zkTxnLogToolkit.sh", "-c", f"--zxid={zxid}", log)
    assert done.code == code
    assert message in done.err
    assert ("does not contain zxid 2\n" in done.out) == (zxid == "2")
    assert list(log.parent.iterdir()) == [log]


@pytest.mark.parametrize("within", [9, 50])
def test_chop_refuses_damage_before_the_zxid(tool: Tool, log: Path, within: int) -> None:
    damage(log, 2, within=within)
    done = tool("zkserver", "log", "chop", log, "4")
    assert done.code == 1
    assert f"Failed to chop {log}" in done.err
    assert list(log.parent.iterdir()) == [log]
    assert tool("zkserver", "log", "chop", log, "2").code == 0


@pytest.mark.parametrize(
    ("arguments", "code"), [([], 1), (["-q"], 1), (["-z"], 1), (["--none", "x"], 1), (["-h"], 0)]
)
def test_the_usage_of_apache_s_script(tool: Tool, arguments: list[str], code: int) -> None:
    done = tool("zkTxnLogToolkit.sh", *arguments)
    assert done.code == code
    assert "usage: TxnLogToolkit [-dhrvc] <txn_log_file_name> (-z <zxid>)" in done.out + done.err


def test_a_record_over_a_chunk_is_read(tmp_path: Path) -> None:
    big = plain_entries(1, 3, bytes(3_000_000)) + plain_entries(4, 2)
    path = tmp_path / "log.1"
    path.write_bytes(logs.log_of(big, bytes(3_000_000)))
    assert [record.entry for record in read_back(path)] == big
    path.write_bytes(logs.flipped(logs.log_of(big), logs.offsets(big)[1] + 9))
    pieces = list(log_scan.scan(RealDisk(), str(path)))
    assert [type(piece) for piece in pieces] == [Record, Gap, Record, Record, Record, Tail]


FLIPS = st.lists(
    st.tuples(st.integers(len(logs.HEADER), len(logs.log_of(ENTRIES)) - 1), st.integers(1, 255)),
    min_size=1,
    max_size=12,
)


@settings(deadline=None, max_examples=200)
@given(FLIPS)
def test_every_record_with_a_good_checksum_is_found(flips: list[tuple[int, int]]) -> None:
    data = logs.log_of(ENTRIES)
    for offset, mask in flips:
        data = logs.flipped(data, offset, mask)
    disk = SimDisk()
    disk.put("/log", data)
    pieces = list(log_scan.scan(disk, "/log"))
    found = {piece.offset: piece for piece in pieces if isinstance(piece, Record)}
    places = logs.offsets(ENTRIES)
    for entry, start, end in zip(ENTRIES, places, places[1:], strict=False):
        if data[start:end] == logs.record(entry):
            assert found[start].entry == entry
            assert found[start].is_good
    position = len(logs.HEADER)
    for piece in pieces:
        assert piece.offset == position
        position = position if isinstance(piece, Tail) else piece.end


@settings(deadline=None, max_examples=30)
@given(flips=FLIPS)
def test_repair_keeps_every_record_with_a_good_checksum(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    from zkserver.cli.log_tool import repair
    from zkserver.cli.output import Output

    data = logs.log_of(ENTRIES)
    for offset, mask in flips:
        data = logs.flipped(data, offset, mask)
    path = tmp_path_factory.mktemp("flips") / "log.100000000"
    path.write_bytes(data)
    assert repair(str(path), Output(), yes=True) in (0, 1)
    assert path.read_bytes() == data
    fixed = read_back(Path(f"{path}.fixed"))
    assert all(record.is_good for record in fixed)
    kept = [record.entry for record in fixed]
    places = logs.offsets(ENTRIES)
    for entry, start, end in zip(ENTRIES, places, places[1:], strict=False):
        if data[start:end] == logs.record(entry):
            assert entry in kept


def test_a_good_record_inside_of_a_wild_length_is_found() -> None:
    # The length of the first record is made to end exactly with the third one.
    places = logs.offsets(PLAIN)
    data = bytearray(logs.log_of(PLAIN))
    data[places[0] + 8 : places[0] + 12] = Struct(">i").pack(places[3] - places[0] - 13)
    disk = SimDisk()
    disk.put("/log", bytes(data))
    pieces = list(log_scan.scan(disk, "/log"))
    assert pieces[0] == Gap(places[0], places[1])
    assert [piece.entry for piece in pieces[1:-1] if isinstance(piece, Record)] == PLAIN[1:]
    assert pieces[1].offset == places[1]
    assert adler32(PLAIN[1]) == pieces[1].checksum  # type: ignore[union-attr]
