"""Local sessions in the tracker, and whose writes a leader takes."""

from __future__ import annotations

from zkserver.server.local_sessions import LiveOrForeign
from zkserver.session.tracker import SessionTracker

TICK_MS = 1000


def tracker() -> SessionTracker:
    return SessionTracker(TICK_MS, 3, 0)


def test_only_local_sessions_expire_by_a_learners_word() -> None:
    sessions = tracker()
    local, everybodys = sessions.create(2000, 0), sessions.create(2000, 0)
    sessions.make_local(local)
    sessions.add(everybodys, 2000, 0)
    assert sessions.expired_local(2999) == []
    assert sessions.expired_local(3000) == [local]
    assert sessions.is_closing(local)
    assert everybodys in sessions.live
    sessions.remove(local)
    assert not sessions.local
    for now_ms in range(4000, 60000, 1000):
        assert sessions.expired_local(now_ms) == []
    # The same table in an authority's hands; what was never heard of is due.
    assert sessions.expired(70000) == [everybodys]


def test_an_upgraded_session_is_one_like_the_others() -> None:
    sessions = tracker()
    session_id = sessions.create(2000, 0)
    sessions.make_local(session_id)
    assert sessions.timeouts() == {}
    assert [bucket.session_ids for bucket in sessions.dump(0, local=True)] == [[session_id]]
    assert sessions.dump(0) == []
    assert sessions.upgrade(session_id) == 2000
    sessions.add(session_id, 2000, 0)
    assert sessions.timeouts() == {session_id: 2000}
    assert sessions.dump(0, local=True) == []
    assert sessions.expired_local(10000) == []


def test_a_leader_takes_writes_of_sessions_that_may_be_anothers_local_ones() -> None:
    sessions = tracker()
    own = sessions.create(2000, 0)
    taken = LiveOrForeign(sessions, 3)
    assert own in taken
    sessions.set_closing(own)
    assert own not in taken
    assert own + 1 not in taken
    assert 4 << 56 in taken
    assert (130 << 56) - (1 << 64) in taken
    assert (131 << 56) - (1 << 64) not in LiveOrForeign(sessions, 131)
    closing = 5 << 56
    sessions.add(closing, 2000, 0)
    sessions.set_closing(closing)
    assert closing not in taken
