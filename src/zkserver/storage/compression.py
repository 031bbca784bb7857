"""The compressions of snapshots: none, gzip, and snappy as snappy-java frames it.

snappy-java's SnappyOutputStream writes

    82 "SNAPPY" 00 · int version 1 · int least compatible version 1
    per block of at most 32 KiB: int size · that many bytes of raw snappy

and raw snappy is a varint of the uncompressed size, then elements: a literal
(tag low bits 00) or a copy from what was written (01, 10, 11 by the width of its
offset); google/snappy's format_description.txt. A second header in the middle is
legal and skipped: files joined end to end.

The snappy code here is plain Python: reading runs at some 50 MB/s on text-like
data, writing far slower. Left out: native accelerators; gzip is the compression
to choose for size, none for speed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Protocol

GZIP_MAGIC = b"\x1f\x8b"
SNAPPY_MAGIC = b"\x82SNAPPY\x00"
SNAPPY_VERSION = 1
SNAPPY_BLOCK_BYTES = 32 * 1024

_GZIP_WBITS = 31
# Java's GZIPOutputStream compresses at zlib's own default.
_GZIP_LEVEL = 6
_PIECE_BYTES = 1 << 20
_VERSIONS = Struct(">ii")
_SIZE = Struct(">i")
# A block may say more than 32 KiB (the writer's choice), not more than this.
_BLOCK_LIMIT_BYTES = 1 << 29
_HASH_BITS_BYTES = 4
_MAX_OFFSET = 0xFFFF
_MAX_COPY_BYTES = 64


class CompressionError(Exception):
    """Bytes that do not decompress."""


class Sink(Protocol):
    """Takes bytes, one piece after another."""

    def write(self, data: bytes, /) -> object:
        """Take the next bytes."""


class Packer(Protocol):
    """A sink that compresses; `finish` writes what it still holds."""

    def write(self, data: bytes, /) -> object:
        """Take the next bytes."""

    def finish(self) -> None:
        """Write the end of the stream."""


def compressing(sink: Sink, compression: str) -> Packer:
    """A sink that compresses into `sink`; `compression` is "", "gz" or "snappy"."""
    if compression == "gz":
        return _GzipPacker(sink)
    if compression == "snappy":
        return _SnappyPacker(sink)
    return _PlainPacker(sink)


def decompressing(pieces: Iterable[bytes], compression: str) -> Iterator[bytes]:
    """The uncompressed bytes in pieces; CompressionError if they do not decompress."""
    if compression == "gz":
        return _gunzip(pieces)
    if compression == "snappy":
        return _unsnappy(pieces)
    return iter(pieces)


class _PlainPacker:
    def __init__(self, sink: Sink) -> None:
        self.write = sink.write

    def finish(self) -> None:
        """Nothing is held."""


class _GzipPacker:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WBITS)

    def write(self, data: bytes) -> None:
        packed = self._compressor.compress(data)
        if packed:
            self._sink.write(packed)

    def finish(self) -> None:
        self._sink.write(self._compressor.flush())


class _SnappyPacker:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._held = bytearray()
        sink.write(SNAPPY_MAGIC + _VERSIONS.pack(SNAPPY_VERSION, SNAPPY_VERSION))

    def write(self, data: bytes) -> None:
        held = self._held
        held += data
        whole = len(held) // SNAPPY_BLOCK_BYTES * SNAPPY_BLOCK_BYTES
        for start in range(0, whole, SNAPPY_BLOCK_BYTES):
            self._write_block(bytes(held[start : start + SNAPPY_BLOCK_BYTES]))
        del held[:whole]

    def finish(self) -> None:
        if self._held:
            self._write_block(bytes(self._held))
            self._held.clear()

    def _write_block(self, block: bytes) -> None:
        packed = snappy_compress(block)
        self._sink.write(_SIZE.pack(len(packed)) + packed)


def _gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    decompressor = zlib.decompressobj(_GZIP_WBITS)
    try:
        for piece in pieces:
            data = piece
            while data:
                if decompressor.eof:
                    decompressor = zlib.decompressobj(_GZIP_WBITS)
                plain = decompressor.decompress(data, _PIECE_BYTES)
                if plain:
                    yield plain
                data = decompressor.unconsumed_tail or decompressor.unused_data
    except zlib.error as error:
        raise CompressionError(f"not gzip: {error}") from error
    if not decompressor.eof:
        raise CompressionError("the gzip stream ends early")


def _unsnappy(pieces: Iterable[bytes]) -> Iterator[bytes]:
    header_bytes = len(SNAPPY_MAGIC) + _VERSIONS.size
    held = b""
    begun = False
    for piece in pieces:
        held += piece
        position = 0
        blocks = []
        while len(held) - position >= header_bytes or (begun and len(held) - position > 4):
            if held.startswith(SNAPPY_MAGIC, position):
                if len(held) - position < header_bytes:
                    break
                position += header_bytes
                begun = True
                continue
            if not begun:
                raise CompressionError("not a snappy stream")
            (size_bytes,) = _SIZE.unpack_from(held, position)
            if not 0 < size_bytes <= _BLOCK_LIMIT_BYTES:
                raise CompressionError(f"a snappy block of {size_bytes} bytes")
            stop = position + 4 + size_bytes
            if stop > len(held):
                break
            blocks.append(snappy_decompress(held[position + 4 : stop]))
            position = stop
        held = held[position:]
        if blocks:
            yield b"".join(blocks)
    if held:
        raise CompressionError("the snappy stream ends early")


def snappy_decompress(data: bytes) -> bytes:
    """One raw snappy block; CompressionError if it is none."""
    out = bytearray()
    try:
        expected, position = _read_varint(data)
        _decompress_elements(data, position, out)
    except IndexError as error:
        raise CompressionError("a snappy block ends early") from error
    if len(out) != expected:
        raise CompressionError(f"a snappy block of {len(out)} bytes, not {expected}")
    return bytes(out)


def _read_varint(data: bytes) -> tuple[int, int]:
    value = shift = position = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _decompress_elements(data: bytes, position: int, out: bytearray) -> None:
    end = len(data)
    while position < end:
        tag = data[position]
        position += 1
        kind = tag & 3
        if kind == 0:
            length = (tag >> 2) + 1
            if length > 60:
                width = length - 60
                length = int.from_bytes(data[position : position + width], "little") + 1
                position += width
            stop = position + length
            if stop > end:
                raise CompressionError("a snappy literal ends early")
            out += data[position:stop]
            position = stop
            continue
        if kind == 1:
            length = (tag >> 2 & 7) + 4
            offset = tag >> 5 << 8 | data[position]
            position += 1
        elif kind == 2:
            length = (tag >> 2) + 1
            offset = data[position] | data[position + 1] << 8
            position += 2
        else:
            length = (tag >> 2) + 1
            offset = int.from_bytes(data[position : position + 4], "little")
            position += 4
        start = len(out) - offset
        if offset == 0 or start < 0:
            raise CompressionError("a snappy copy from before the block")
        if offset >= length:
            out += out[start : start + length]
        else:
            # The copy overlaps what it makes: a run.
            pattern = bytes(out[start:])
            out += (pattern * (length // offset + 1))[:length]


def snappy_compress(block: bytes) -> bytes:
    """A raw snappy block of at most 64 KiB, by greedy matching of 4 bytes."""
    out = bytearray()
    size_bytes = len(block)
    value = size_bytes
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    seen: dict[bytes, int] = {}
    position = literal = 0
    step = 32
    while position + _HASH_BITS_BYTES <= size_bytes:
        key = block[position : position + _HASH_BITS_BYTES]
        match = seen.get(key)
        seen[key] = position
        if match is None:
            # The longer nothing matches, the longer the steps, as snappy does.
            position += step >> 5
            step += 1
            continue
        length = _match_length(block, match, position)
        if literal < position:
            _put_literal(out, block[literal:position])
        _put_copy(out, position - match, length)
        position += length
        literal = position
        step = 32
    if literal < size_bytes:
        _put_literal(out, block[literal:])
    return bytes(out)


def _match_length(block: bytes, match: int, position: int) -> int:
    length = _HASH_BITS_BYTES
    limit = len(block) - position
    distance = position - match
    while length + 8 <= limit:
        here = position + length
        there = here - distance
        if block[there : there + 8] != block[here : here + 8]:
            break
        length += 8
    while length < limit and block[match + length] == block[position + length]:
        length += 1
    return length


def _put_literal(out: bytearray, literal: bytes) -> None:
    last = len(literal) - 1
    if last < 60:
        out.append(last << 2)
    else:
        width = (last.bit_length() + 7) // 8
        out.append((59 + width) << 2)
        out += last.to_bytes(width, "little")
    out += literal


def _put_copy(out: bytearray, offset: int, length: int) -> None:
    while length > 0:
        part = min(length, _MAX_COPY_BYTES)
        out.append(part - 1 << 2 | 2)
        out += offset.to_bytes(2, "little")
        length -= part
