"""Reports that have to be cheap whatever clients do."""

from __future__ import annotations

from types import SimpleNamespace

from zkserver.server import reports
from zkserver.tree.watches import STANDARD, WatchTable


class _Connection:
    """Counts how often it is looked up."""

    looked_up = 0

    def __init__(self, session_id: int) -> None:
        self.session_id = session_id

    def __hash__(self) -> int:
        _Connection.looked_up += 1
        return self.session_id

    def __eq__(self, other: object) -> bool:
        return self is other


def test_watches_by_path_does_not_ask_all_connections_about_each_path() -> None:
    count = 300
    connections = [_Connection(number) for number in range(count)]
    table = WatchTable()
    for number in reversed(range(count)):
        table.add(b"/all", connections[number], STANDARD)
        table.add(b"/%d" % number, connections[number], STANDARD)
    server = SimpleNamespace(
        connections=dict.fromkeys(connections), tree=SimpleNamespace(data_watches=table)
    )
    _Connection.looked_up = 0
    found = reports.watches_by_path(server)
    assert found["/all"] == list(range(count))
    assert found["/7"] == [7]
    assert len(found) == count + 1
    assert _Connection.looked_up < 10 * count
