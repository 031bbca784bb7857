"""The table of ACL lists: each list is stored once, znodes hold its index.

Indexes and reference counts live as Java's ReferenceCountedACLCache has them,
because snapshots carry the table: -1 stands for the open ACL of nodes that were
made without a list, real lists get 1, 2, 3, ... and leave with their last user.
`everybody` maps each index to the permissions it grants to anyone at all, so
that the common check is one look-up.
"""

from __future__ import annotations

from zkserver.base.acl import ALL, ANYONE, OPEN_ACL, Acl, AclList

OPEN_INDEX = -1
NOBODY: AclList = (Acl(0, ANYONE),)


def _granted_to_all(acl: AclList) -> int:
    if not acl:
        return ALL
    perms = 0
    for entry in acl:
        if entry.id == ANYONE:
            perms |= entry.perms
    return perms


class AclTable:
    """Interned ACL lists by index."""

    def __init__(self) -> None:
        self.table: dict[int, AclList] = {}
        self.everybody: dict[int, int] = {OPEN_INDEX: ALL}
        self._index_of: dict[AclList, int] = {}
        self._uses: dict[int, int] = {}
        self._last_index = 0
        # The list used last, known at sight: comparing lists costs more.
        self._recent: AclList | None = None
        self._recent_index = 0

    def get(self, index: int) -> AclList:
        """The list behind an index."""
        return OPEN_ACL if index == OPEN_INDEX else self.table[index]

    def use(self, acl: AclList) -> int:
        """The index of `acl`, with one more user."""
        if acl is self._recent:
            index = self._recent_index
        else:
            known = self._index_of.get(acl)
            if known is None:
                self._last_index = known = self._last_index + 1
                self._put(known, acl)
            self._recent, self._recent_index = acl, known
            index = known
        self._uses[index] += 1
        return index

    def release(self, index: int) -> None:
        """One user less; the last one takes the list out of the table."""
        if index == OPEN_INDEX:
            return
        uses = self._uses.get(index, 0) - 1
        if uses > 0:
            self._uses[index] = uses
        else:
            self._drop(index)

    def load(self, table: dict[int, AclList]) -> None:
        """Take over a snapshot's table; users are counted as nodes are added."""
        self.table.clear()
        self._index_of.clear()
        self._uses.clear()
        self.everybody = {OPEN_INDEX: ALL}
        self._last_index = 0
        self._recent = None
        for index, acl in table.items():
            self._put(index, acl)
            self._last_index = max(self._last_index, index)

    def count_uses(self, indexes: dict[int, int]) -> None:
        """Set the number of users of each index, and drop what nobody uses.

        A node of a fuzzy snapshot may name an index that is not in its table; the
        log brings the list later. Until then nobody may do anything to that node.
        """
        for index in indexes:
            if index != OPEN_INDEX and index not in self.table:
                self._put(index, NOBODY)
                self._last_index = max(self._last_index, index)
        for index in list(self.table):
            uses = indexes.get(index, 0)
            if uses:
                self._uses[index] = uses
            else:
                self._drop(index)

    def _put(self, index: int, acl: AclList) -> None:
        acl = OPEN_ACL if acl == OPEN_ACL else acl
        self.table[index] = acl
        self.everybody[index] = _granted_to_all(acl)
        self._index_of[acl] = index
        self._uses[index] = 0

    def _drop(self, index: int) -> None:
        acl = self.table.pop(index, None)
        self._recent = None
        if acl is not None:
            if self._index_of.get(acl) == index:
                del self._index_of[acl]
            del self.everybody[index]
            self._uses.pop(index, None)
