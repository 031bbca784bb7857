"""The children of a znode that has very many, without stopping the loop for them.

A hundred thousand names take the decoder some 40 ms in one go, which is much for a process that
serves others on the same loop. `get_children_packed` gives the names as they came, and
`PackedNames.slices` decodes so many at a time; between two slices others may have their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from zkserver.base import opcodes as op
from zkserver.client import replies, requests
from zkserver.client.operations import Operations
from zkserver.client.records import Stat
from zkserver.jute.codec import JuteError, decode_text, unpack_int

SLICE_SIZE = 1000


class PackedNames:
    """A vector of names as the wire has it; `len()` is how many it says there are."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._count: int = max(unpack_int(data)[0], 0)

    def __len__(self) -> int:
        return self._count

    def slices(self, size: int = SLICE_SIZE) -> Iterator[list[str]]:
        """The names, at most `size` at a time. Raises JuteError where the record ends early."""
        data, end = self._data, len(self._data)
        position, left = 4, self._count
        while left:
            names: list[str] = []
            for _ in range(min(size, left)):
                start = position + 4
                if start > end:
                    raise JuteError("record ends early")
                position = start + unpack_int(data, position)[0]
                if not start <= position <= end:
                    raise JuteError("record ends early")
                raw = data[start:position]
                names.append(raw.decode() if raw.isascii() else decode_text(raw))
            left -= len(names)
            yield names


def get_children_packed(
    client: Operations, path: str
) -> asyncio.Future[tuple[PackedNames, Stat]]:
    """The names of the children, still packed, and the Stat of their parent."""
    body = requests.path_watch(client.absolute(path).encode(), False)
    return client.raw_request(op.GET_CHILDREN2, body, _names_and_stat, path)


def _names_and_stat(data: bytes, position: int, stop: int) -> tuple[PackedNames, Stat]:
    end = stop - replies.STAT_BYTES
    if end < position + 4:
        raise JuteError("record ends early")
    return PackedNames(data[position:end]), replies.stat(data, end, stop)
