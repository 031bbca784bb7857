"""The codecs of snapshots: Apache's files read, ours read back, broken ones are refused."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkserver.storage.compression import (
    SNAPPY_BLOCK_BYTES,
    CompressionError,
    compressing,
    decompressing,
    snappy_compress,
    snappy_decompress,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "storage"
SNAPPY_HEADER = b"\x82SNAPPY\0" + bytes([0, 0, 0, 1, 0, 0, 0, 1])


class Sink:
    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


def pack(pieces: list[bytes], compression: str) -> bytes:
    sink = Sink()
    packer = compressing(sink, compression)
    for piece in pieces:
        packer.write(piece)
    packer.finish()
    return sink.data


def unpack(data: bytes, compression: str, piece_bytes: int = 1 << 20) -> bytes:
    pieces = [data[at : at + piece_bytes] for at in range(0, len(data), piece_bytes)]
    return b"".join(decompressing(pieces, compression))


def mixed(size_bytes: int) -> bytes:
    """Bytes of which some repeat, near and far."""
    chance = random.Random(5)
    words = [chance.randbytes(chance.randrange(3, 40)) for _ in range(50)]
    data = b"".join(chance.choice(words) for _ in range(size_bytes // 20 + 1))
    return data[:size_bytes]


@pytest.mark.parametrize("compression", ["gz", "snappy"])
@pytest.mark.parametrize("piece_bytes", [1, 3, 100, 1 << 20])
def test_apache_s_files_decompress(compression: str, piece_bytes: int) -> None:
    packed = (GOLDEN / f"snapshot.14.{compression}").read_bytes()
    plain = (GOLDEN / "snapshot.14").read_bytes()
    assert unpack(packed, compression, piece_bytes) == plain


@pytest.mark.parametrize("compression", ["", "gz", "snappy"])
@pytest.mark.parametrize("size_bytes", [0, 1, 100, SNAPPY_BLOCK_BYTES, 100_001])
def test_what_was_packed_unpacks(compression: str, size_bytes: int) -> None:
    data = mixed(size_bytes)
    pieces = [data[at : at + 1000] for at in range(0, len(data), 1000)]
    assert unpack(pack(pieces, compression), compression, 777) == data


def test_the_snappy_stream_begins_as_snappy_java_s() -> None:
    assert pack([b"abc"], "snappy").startswith(SNAPPY_HEADER)


def test_repetition_gets_smaller() -> None:
    data = mixed(100_000)
    assert len(pack([data], "snappy")) < 0.5 * len(data)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([b"a", b"ab", b"\0" * 70, b"0123456789", b"xyz" * 30])), st.binary())
def test_a_raw_block_comes_back(parts: list[bytes], tail: bytes) -> None:
    block = (b"".join(parts) + tail)[:65536]
    assert snappy_decompress(snappy_compress(block)) == block


# Raw snappy by hand: format_description.txt.
RAW = {
    "empty": (b"\0", b""),
    "literal": (b"\x03\x08abc", b"abc"),
    "literal of 61": (b"\x3d\xf0\x3c" + b"q" * 61, b"q" * 61),
    "literal with 2 bytes of length": (b"\xac\x02\xf4\x2b\x01" + b"z" * 300, b"z" * 300),
    "copy with 11 bits of offset": (b"\x0a\x0cabcd\x09\x04", b"abcdabcdab"),
    "copy with 16 bits of offset": (b"\x08\x0cabcd\x0e\x04\x00", b"abcdabcd"),
    "copy with 32 bits of offset": (b"\x08\x0cabcd\x0f\x04\x00\x00\x00", b"abcdabcd"),
    "run": (b"\x09\x00a\x1e\x01\x00", b"a" * 9),
    "overlapping run": (b"\x09\x04ab\x1a\x02\x00", b"ababababa"),
}


@pytest.mark.parametrize("name", RAW)
def test_elements_of_raw_snappy(name: str) -> None:
    packed, plain = RAW[name]
    assert snappy_decompress(packed) == plain


@pytest.mark.parametrize(
    "packed",
    [b"", b"\x80", b"\x05\x08abc", b"\x03\x0cab", b"\x04\x00a\x0e\x02\x00", b"\x04\x00a\x0e\0\0"],
    ids=["empty", "length", "too short", "literal", "before the block", "offset 0"],
)
def test_broken_raw_snappy_is_refused(packed: bytes) -> None:
    with pytest.raises(CompressionError):
        snappy_decompress(packed)


@pytest.mark.parametrize("compression", ["gz", "snappy"])
def test_a_stream_cut_short_is_refused(compression: str) -> None:
    packed = pack([mixed(1000)], compression)
    for cut in range(len(packed)):
        # After its header a snappy stream has no end of its own.
        if compression == "snappy" and cut in (0, len(SNAPPY_HEADER)):
            continue
        with pytest.raises(CompressionError):
            unpack(packed[:cut], compression)


@pytest.mark.parametrize("compression", ["gz", "snappy"])
def test_what_is_no_stream_is_refused(compression: str) -> None:
    for data in (b"hello, hello, hello, hello", bytes(100), SNAPPY_HEADER + b"\xff" * 20):
        with pytest.raises(CompressionError):
            unpack(data, compression)


def test_streams_joined_end_to_end() -> None:
    first, second = mixed(500), mixed(900)
    assert unpack(gzip.compress(first) + gzip.compress(second), "gz", 50) == first + second
    joined = pack([first], "snappy") + pack([second], "snappy")
    assert unpack(joined, "snappy", 50) == first + second


def test_a_small_gzip_file_of_much_data_comes_in_pieces() -> None:
    pieces = list(decompressing([gzip.compress(bytes(5_000_000))], "gz"))
    assert max(map(len, pieces)) <= 1 << 20
    assert sum(map(len, pieces)) == 5_000_000
