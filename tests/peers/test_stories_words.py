"""Stories of the four-letter words that list sessions, watches and connections.

Lines are compared in sorted order (Java lists by hash), with sessions and ports by number
and dates only in their form. Sets that are empty, which Java leaves behind, are left out.
"""

from __future__ import annotations

import re

import pytest

from tests.support.lockstep import Side
from tests.support.server_process import four_letter_word
from tests.support.stories import OK, Story

DATE = re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \S+ \d{4}")
FIGURES = re.compile(r"(est|lresp|llat|minlat|avglat|maxlat)=\d+")


def _asked(side: Side, word: str) -> list[str]:
    """The lines of the answer, comparable."""
    text = four_letter_word(side.server.port, word)
    for slot, link in sorted(side.links.items()):
        text = text.replace(f"0x{side.credentials[slot][0]:x}", f"session {slot}")
        text = text.replace(f":{link.socket.getsockname()[1]}", f":port {slot}")
    text = FIGURES.sub(r"\1=n", DATE.sub("DATE", re.sub(r"127\.0\.0\.1:\d+", "other", text)))
    lines = text.split("\n")
    return sorted(re.sub(r"Sets \(\d+\)", "Sets", each) for each in lines if each[:2] != "0 ")


def _all_agree(story: Story, word: str) -> list[str]:
    answers = [_asked(side, word) for side in story.pair.sides]
    assert answers[0] == answers[-1], word
    return answers[0]


@pytest.mark.since(3, 9, 0)
def test_words_that_list(story: Story) -> None:
    s, other = story.session(), story.session()
    assert s.create("/wd1", flags=1) == OK
    assert s.create("/wd2") == OK
    assert s.get_data("/wd2", watch=True) == OK
    assert other.get_data("/wd2", watch=True) == OK
    assert other.exists("/", watch=True) == OK
    assert s.add_watch("/wd3", 1) == OK
    assert "\t/wd3" in _all_agree(story, "wchc")
    assert "/wd3" in _all_agree(story, "wchp")
    assert "2 connections watching 3 paths" in _all_agree(story, "wchs")
    dumped = _all_agree(story, "dump")
    assert "2 expire at DATE:" in dumped
    assert "\t/wd1" in dumped
    assert other.set_data("/wd2") == OK
    assert s.remove_watches("/wd3", 5) == OK
    for word in ("wchc", "wchp", "wchs"):
        _all_agree(story, word)


@pytest.mark.since(3, 9, 0)
def test_crst_forgets_the_last_operation_too(story: Story) -> None:
    s = story.session()
    assert s.create("/wd4") == OK
    for side in story.pair.sides:
        assert four_letter_word(side.server.port, "crst") == "Connection stats reset.\n"
        ours = [line for line in _asked(side, "cons") if f"port {s.slot}" in line]
        assert ours == [
            f" /127.0.0.1:port {s.slot}[1](queued=0,recved=0,sent=0,sid=session {s.slot},lop=NA,"
            "est=n,to=40000,lzxid=0xffffffffffffffff,lresp=n,llat=n,minlat=n,avglat=n,maxlat=n)"
        ]
    assert s.delete("/wd4") == OK
