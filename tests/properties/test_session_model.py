"""The session table against one that moves sessions between buckets at every touch."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from zkserver.session.tracker import SessionTracker

TICK_MS = 10

ids = st.integers(1, 6)
spans_ms = st.integers(0, 60)
steps = st.one_of(
    st.tuples(st.just("add"), ids, spans_ms),
    st.tuples(st.just("touch"), ids),
    st.tuples(st.just("set_timeout"), ids, spans_ms),
    st.tuples(st.just("set_closing"), ids),
    st.tuples(st.just("remove"), ids),
    st.tuples(st.just("wait"), spans_ms),
    st.tuples(st.just("wait and expire"), spans_ms),
)


class EagerTracker:
    """Knows each session's timeout and the instant it is due at, nothing lazily."""

    def __init__(self) -> None:
        self.timeout_ms: dict[int, int] = {}
        self.due_ms: dict[int, int] = {}

    def touch(self, session_id: int, timeout_ms: int | None, now_ms: int) -> bool:
        if session_id not in self.due_ms:
            return False
        if timeout_ms is not None:
            self.timeout_ms[session_id] = timeout_ms
        after_ms = now_ms + self.timeout_ms[session_id]
        self.due_ms[session_id] = after_ms - after_ms % TICK_MS + TICK_MS
        return True

    def add(self, session_id: int, timeout_ms: int, now_ms: int) -> None:
        if session_id not in self.timeout_ms:
            self.timeout_ms[session_id] = timeout_ms
            self.due_ms[session_id] = 0
        self.touch(session_id, None, now_ms)

    def expired(self, now_ms: int) -> list[tuple[int, int]]:
        due = sorted((at, session) for session, at in self.due_ms.items() if at <= now_ms)
        for _, session in due:
            del self.due_ms[session]
        return due


@settings(max_examples=200)
@given(st.lists(steps, max_size=60))
def test_lazy_buckets_expire_what_eager_ones_would(history: list[tuple[object, ...]]) -> None:
    tracker, model = SessionTracker(TICK_MS, 1, 0), EagerTracker()
    now_ms = 0
    for step in history:
        match step:
            case ("add", int(session_id), int(timeout_ms)):
                tracker.add(session_id, timeout_ms, now_ms)
                model.add(session_id, timeout_ms, now_ms)
            case ("touch", int(session_id)):
                assert tracker.touch(session_id, now_ms) == model.touch(session_id, None, now_ms)
            case ("set_timeout", int(session_id), int(timeout_ms)):
                moved = tracker.set_timeout(session_id, timeout_ms, now_ms)
                assert moved == model.touch(session_id, timeout_ms, now_ms)
            case ("set_closing", int(session_id)):
                tracker.set_closing(session_id)
                model.due_ms.pop(session_id, None)
            case ("remove", int(session_id)):
                tracker.remove(session_id)
                model.due_ms.pop(session_id, None)
                model.timeout_ms.pop(session_id, None)
            case (kind, int(span_ms)):
                now_ms += span_ms
                if kind == "wait and expire":
                    due = model.expired(now_ms)
                    at = {session: at for at, session in due}
                    found = tracker.expired(now_ms)
                    assert sorted(found) == sorted(at)
                    assert [at[session] for session in found] == [at for at, _ in due]
        live = sorted(s for bucket in tracker.dump(now_ms) for s in bucket.session_ids)
        assert live == sorted(model.due_ms)
        assert all(tracker.timeout_ms(s) == t for s, t in model.timeout_ms.items())
        assert len(tracker) == len(model.timeout_ms)
