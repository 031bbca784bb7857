"""What a core wants done, sorted by what must be on disk first.

Events go in, one `Effects` comes out for each. The order between its fields is the safety of the
protocol, so the driver keeps to it:

* `send` goes to the links at once.
* `writes` go to the disk in order. One that replaces state (`CutLog`, `StoreSnapshot`) is done,
  and the tree rebuilt from what is left, before anything of `apply`.
* `send_synced` goes to the links when the writes of this and of all earlier batches are durable.
* When the writes of a batch are durable the driver calls `synced`, once per batch that had any,
  in order, or once for several.
* `apply` is committed: it may be applied at once, even before this server's own disk has it,
  since a quorum's disks have.

A write that fails ends the server; nothing is retried (the driver's FatalError).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from zkserver.base.acl import Id
from zkserver.jute.quorum_packets import Packet, PacketType

# A txn: its zxid and its log entry.
Entry = tuple[int, bytes]

# The key under which a learner sends: it has one link.
LEADER_LINK = 0


class Append(NamedTuple):
    """Log one txn."""

    zxid: int
    entry: bytes


class CutLog(NamedTuple):
    """Drop every logged txn and every snapshot above `zxid`.

    Where that leaves nothing to start from, all is dropped, and the role ends: the server has no
    database then, and its last zxid is -1 until the `StoreEpoch` of a current epoch.
    """

    zxid: int


class StoreSnapshot(NamedTuple):
    """Store the received tree as the state at `zxid`; once it is durable, drop log and snapshots
    that are above it. The log has a hole here: it may not serve a DIFF from before `zxid`.
    """

    zxid: int


class EpochFile(Enum):
    """The files of epochs, by name."""

    ACCEPTED = "acceptedEpoch"
    CURRENT = "currentEpoch"
    # Says that txns of this epoch may be in the log already: see `epochs`.
    CURRENT_TO_COME = "currentEpoch.tmp"


class StoreEpoch(NamedTuple):
    """Write an epoch file, sync it, rename it into place; before any later write begins."""

    file: EpochFile
    epoch: int


Write = Append | CutLog | StoreSnapshot | StoreEpoch


class Phase(Enum):
    """Where a leader or a learner stands."""

    DISCOVERY = "discovery"
    SYNCHRONISATION = "synchronisation"
    BROADCAST = "broadcast"


class Forwarded(NamedTuple):
    """A client's request that a learner sent: `prep` answers it with a proposal.

    A sync (its type is `opcodes.SYNC`) goes the same way and comes back as `Leader.sync`, so that
    it stays behind its client's earlier writes.
    """

    link: int
    session_id: int
    cxid: int
    type: int
    body: bytes
    authinfo: tuple[Id, ...] | None


class Revalidation(NamedTuple):
    """A learner asks whether a session lives, for a client that moved to it."""

    link: int
    session_id: int
    timeout_ms: int


@dataclass(slots=True)
class Effects:
    """One batch; see the module's docstring. Links are the driver's numbers of connections."""

    send: dict[int, list[Packet]] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    send_synced: dict[int, list[Packet]] = field(default_factory=dict)
    apply: list[Entry] = field(default_factory=list)
    # Leader: links to close, with the reason.
    closed: list[tuple[int, str]] = field(default_factory=list)
    # Leader: (session id, timeout in ms) that learners heard of.
    touched: list[tuple[int, int]] = field(default_factory=list)
    requests: list[Forwarded] = field(default_factory=list)
    revalidations: list[Revalidation] = field(default_factory=list)
    # Learner: (session id, alive); syncs that are done, oldest first.
    validities: list[tuple[int, bool]] = field(default_factory=list)
    syncs_done: list[object] = field(default_factory=list)
    # (zxid, designated leader) of reconfigurations that are committed.
    activations: list[tuple[int, int]] = field(default_factory=list)
    # The configuration that NEWLEADER brought, as text.
    config: bytes | None = None
    phase: Phase | None = None
    # Why the role has ended: the peer looks for a leader again.
    ended: str | None = None
    # Leader: by which packet learners are brought to its history.
    synchronised: tuple[PacketType, ...] = ()
    # Lines for the server's log.
    notes: list[str] = field(default_factory=list)


def put(packets: dict[int, list[Packet]], link: int, *more: Packet) -> None:
    """Queue packets for a link, in `send` or `send_synced`."""
    packets.setdefault(link, []).extend(more)
