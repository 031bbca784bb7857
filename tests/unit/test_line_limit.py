"""Lines that are left out of the log, and counted."""

from zkserver.runtime.line_limit import LINES_PER_S, LineLimit


def test_a_second_has_so_many_lines_of_an_event_and_the_next_says_how_many_it_lacked():
    now_ms = [5000]
    limit = LineLimit(lambda: now_ms[0])
    found = [limit.admit("closing") for _ in range(LINES_PER_S + 3)]
    assert found == [0] * LINES_PER_S + [None] * 3
    assert limit.admit("expired") == 0
    now_ms[0] += 999
    assert limit.admit("closing") is None
    now_ms[0] += 1
    assert limit.admit("closing") == 4
    assert limit.admit("closing") == 0
