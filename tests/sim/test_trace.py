"""The page that shows a run: what is in it, that texts stay texts, and that it opens."""

from __future__ import annotations

import json
import random
import re
import shutil
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from zkserver.sim import trace
from zkserver.sim.story import Flight, Mark, StateChange, Story

HOSTS = ["n1", "n2", "n3", "n4", "n5"]
HOSTILE = "</script><img src=x onerror=alert(1)><!-- <script> \u2028 \ud800 ü __STORY__"


class Teller:
    """Tells what five servers might do. Every duration comes from `chance`."""

    def __init__(self, seed: int = 7) -> None:
        self.chance = random.Random(seed)
        self.story = Story(str(seed), "Five servers, two elections, a partition", list(HOSTS))
        self.epoch = 3
        self.counter = 0
        self.cut: set[tuple[str, str]] = set()

    def send(self, at_s: float, sender: str, receiver: str, channel: str, name: str) -> float:
        """The time of arrival; the packet is lost if the link is cut."""
        arrived_s = at_s + 0.0004 + self.chance.expovariate(1 / 0.0012)
        is_lost = (sender, receiver) in self.cut
        self.story.flights.append(
            Flight(at_s, None if is_lost else arrived_s, sender, receiver, channel, name)
        )
        return arrived_s

    def state(self, at_s: float, host: str, state: str, detail: str = "") -> None:
        self.story.states.append(StateChange(at_s, host, state, detail))

    def mark(self, at_s: float, host: str, kind: str, text: str) -> None:
        self.story.marks.append(Mark(at_s, host, kind, text))

    def election(self, at_s: float, leader: str, members: list[str]) -> float:
        """Votes, discovery and synchronisation; returns when the last one follows."""
        self.epoch += 1
        for host in members:
            self.state(at_s, host, "LOOKING", f"round {self.epoch}")
        for turn, vote in enumerate((None, leader)):
            for sender in members:
                begin_s = at_s + turn * 0.02 + self.chance.random() * 0.01
                for receiver in members:
                    if sender != receiver:
                        text = f"LOOKING votes {(vote or sender)[1:]} (epoch {self.epoch - 1}, "
                        text += f"zxid {self.epoch - 1}:{self.counter:x}, round {self.epoch})"
                        self.send(begin_s, sender, receiver, "election", text)
        self.mark(at_s + 0.24, leader, "log", f"LEADING - election took {240} ms")
        done_s = at_s + 0.24
        self.state(done_s, leader, "LEADING", f"epoch {self.epoch}")
        for host in members:
            if host == leader:
                continue
            now_s = done_s + 0.001 + self.chance.random() * 0.02
            self.state(now_s, host, "FOLLOWING", f"epoch {self.epoch}, follows {leader}")
            for is_up, name in (
                (True, "FOLLOWERINFO"), (False, f"LEADERINFO epoch {self.epoch}"), (True, "ACKEPOCH"),
                (False, f"DIFF {self.epoch - 1}:{self.counter:x}"), (False, f"NEWLEADER {self.epoch}:0"),
                (True, f"ACK {self.epoch}:0"), (False, "UPTODATE"),
            ):  # fmt: skip
                pair = (host, leader) if is_up else (leader, host)
                now_s = self.send(now_s, *pair, "quorum", name) + 0.0005
        self.counter = 0
        return done_s + 0.08

    def reign(self, from_s: float, to_s: float, leader: str, members: list[str], gap_s: float) -> None:
        """Pings every second, and a write every `gap_s` or so."""
        followers = [host for host in members if host != leader]
        ping_s = from_s
        while ping_s < to_s:
            for host in followers:
                back_s = self.send(ping_s, leader, host, "quorum", "PING")
                self.send(back_s, host, leader, "quorum", "PING")
            ping_s += 1.0
        now_s = from_s + self.chance.expovariate(1 / gap_s)
        while now_s < to_s:
            self.write(now_s, leader, followers)
            now_s += self.chance.expovariate(1 / gap_s)

    def write(self, at_s: float, leader: str, followers: list[str]) -> None:
        self.counter += 1
        zxid = f"{self.epoch}:{self.counter:x}"
        origin = self.chance.choice(followers)
        path = f"/jobs/{self.chance.randrange(40)}"
        self.mark(at_s, origin, "client", f"client 3 set {path} version {self.counter}")
        at_s = self.send(at_s + 0.0002, origin, leader, "quorum", f"REQUEST setData {path}")
        acks = []
        for host in followers:
            there_s = self.send(at_s, leader, host, "quorum", f"PROPOSAL {zxid}")
            if (leader, host) not in self.cut:
                disk_s = there_s + 0.001 + self.chance.random() * 0.003
                acks.append(self.send(disk_s, host, leader, "quorum", f"ACK {zxid}"))
        for host in followers if len(acks) > 1 else ():
            self.send(sorted(acks)[1], leader, host, "quorum", f"COMMIT {zxid}")


def plausible_story() -> Story:
    """An election, a dead leader, another election, a partition, a broken property."""
    teller = Teller()
    teller.mark(0.0, "", "note", "act 1: faults")
    serving_s = teller.election(0.2, "n5", HOSTS)
    teller.reign(serving_s, 6.0, "n5", HOSTS, 0.25)
    teller.mark(6.0, "n5", "fault", "power off, 3 unsynced blocks lost")
    teller.state(6.0, "n5", "DOWN")
    others = HOSTS[:4]
    serving_s = teller.election(6.05, "n4", others)
    teller.reign(serving_s, 12.0, "n4", others, 0.25)
    teller.mark(9.0, "n5", "fault", "power on")
    teller.state(9.0, "n5", "FOLLOWING", "epoch 5, follows n4")
    teller.mark(10.5, "n2", "fault", "paused for 1.2 s")
    teller.state(10.5, "n2", "PAUSED")
    teller.state(11.7, "n2", "FOLLOWING", "epoch 5, follows n4")
    teller.cut = {pair for a in ("n1", "n4") for b in ("n2", "n3", "n5") for pair in ((a, b), (b, a))}
    teller.mark(12.0, "", "fault", "partition: n1 n4 | n2 n3 n5")
    teller.reign(12.0, 14.0, "n4", others, 0.25)
    teller.state(14.1, "n1", "LOOKING", "round 6")
    teller.state(14.1, "n4", "LOOKING", "round 6")
    serving_s = teller.election(14.2, "n5", ["n2", "n3", "n5"])
    teller.reign(serving_s, 17.0, "n5", ["n2", "n3", "n5"], 0.2)
    teller.mark(17.0, "", "fault", "partition healed")
    teller.cut = set()
    teller.state(17.4, "n1", "FOLLOWING", "epoch 6, follows n5")
    teller.state(17.5, "n4", "FOLLOWING", "epoch 6, follows n5")
    teller.reign(17.5, 20.0, "n5", HOSTS, 0.2)
    teller.mark(18.2, "n4", "broken", "single history: n4 applied 5:2c, n5 never committed it")
    teller.mark(18.3, "n4", "log", "WARN Got zxid 0x60000000c expected 0x1")
    teller.story.end_s = 20.0
    teller.story.verdicts = [
        ("one leader per epoch", "ok", "3 reigns"),
        ("single history", "invalid", "n4 applied 5:2c at 18.200 s, n5 never committed it"),
        ("linearizable writes", "ok", "84 writes of 2 clients"),
        ("sessions survive", "unknown", "no session lived through a partition"),
    ]
    return teller.story


def huge_story(flights: int = 200_000) -> Story:
    """Half an hour of virtual time."""
    teller = Teller(11)
    teller.story.title = "Half an hour of five servers"
    now_s, number = 0.2, 0
    while len(teller.story.flights) < flights:
        leader = HOSTS[number % 5]
        serving_s = teller.election(now_s, leader, HOSTS)
        now_s = serving_s + 30
        teller.reign(serving_s, now_s, leader, HOSTS, 0.12)
        teller.mark(now_s, leader, "fault", f"crash {number}")
        teller.state(now_s, leader, "DOWN")
        now_s += 0.5
        number += 1
    teller.story.end_s = now_s
    teller.story.verdicts = [("single history", "ok", "")]
    return teller.story


def data_of(page: str) -> dict:
    found = re.search(r'<script type="application/json" id="story">(.*?)</script>', page, re.S)
    return json.loads(found[1])


def told_again(page: str) -> Story:
    """The story, from the JSON of its page. Times are rounded to microseconds."""
    data = data_of(page)
    hosts, names = data["hosts"], data["names"]
    again = Story(data["seed"], data["title"], hosts[: data["lanes"]], data["end"] / 1e6)
    columns = data["flights"]
    now_us = 0
    for step_us, taken_us, link, name in zip(
        columns["sent"], columns["taken"], columns["link"], columns["name"], strict=True
    ):
        now_us += step_us
        sender, receiver = divmod(link, len(hosts))
        arrived_s = None if taken_us < 0 else (now_us + taken_us) / 1e6
        channel = data["channels"][names[name][1]]
        again.flights.append(
            Flight(now_us / 1e6, arrived_s, hosts[sender], hosts[receiver], channel, names[name][2])
        )
    again.states = [StateChange(us / 1e6, hosts[host], *rest) for us, host, *rest in data["states"]]
    again.marks = [
        Mark(us / 1e6, "" if host < 0 else hosts[host], *rest) for us, host, *rest in data["marks"]
    ]
    again.verdicts = [tuple(row) for row in data["verdicts"]]
    return again


def rounded(story: Story) -> Story:
    def us(time_s: float | None) -> float | None:
        return None if time_s is None else round(time_s * 1e6) / 1e6

    def key(item) -> float:
        return item.sent_s if isinstance(item, Flight) else item.at_s

    flights = [
        Flight(us(f.sent_s), us(f.arrived_s), f.sender, f.receiver, f.channel, f.name)
        for f in sorted(story.flights, key=key)
    ]
    states = [StateChange(us(s.at_s), s.host, s.state, s.detail) for s in sorted(story.states, key=key)]
    marks = [Mark(us(m.at_s), m.host, m.kind, m.text) for m in sorted(story.marks, key=key)]
    return Story(story.seed, story.title, story.hosts, story.end_s, states, flights, marks, story.verdicts)


class Outline(HTMLParser):
    """The elements of a page, and every attribute that could load or run something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data", "action") or name.startswith("on"):
                self.loads.append((tag, value))


def test_the_page_tells_the_story_it_was_given() -> None:
    story = plausible_story()
    assert len(story.flights) > 500
    assert told_again(trace.render(story)) == rounded(story)


def test_the_page_needs_nothing_from_outside() -> None:
    page = trace.render(plausible_story())
    assert Outline(page).loads == [("link", "data:,")]
    assert "default-src 'none'" in page
    for way in ("http:", "https:", "@import", "url(", "import(", "fetch(", "XMLHttpRequest"):
        assert way not in page


def test_a_run_in_which_nothing_happened_has_a_page() -> None:
    story = Story("0", "Nothing", [])
    assert told_again(trace.render(story)) == story


def test_hostile_texts_are_no_markup() -> None:
    story = hostile_story()
    page = trace.render(story)
    assert Outline(page).tags == Outline(trace.render(Story("", "", []))).tags
    assert told_again(page) == story
    page.encode("utf-8")


def hostile_story() -> Story:
    story = Story(HOSTILE, HOSTILE, [HOSTILE, "n2"], 2.0)
    story.states = [StateChange(0.0, HOSTILE, HOSTILE, HOSTILE)]
    story.flights = [Flight(1.0, None, HOSTILE, "n2", HOSTILE, HOSTILE)]
    story.marks = [Mark(1.0, "", "fault", HOSTILE), Mark(1.5, HOSTILE, HOSTILE, HOSTILE)]
    story.verdicts = [(HOSTILE, HOSTILE, HOSTILE)]
    return story


def test_hosts_that_the_story_does_not_list() -> None:
    """Whoever sends or has a state gets a lane; a client that only has marks gets none."""
    story = Story("1", "One server", ["n1"])
    story.marks = [Mark(0.5, "client-1", "client", "connects")]
    story.flights = [Flight(0.25, 0.5, "n1", "n9", "quorum", "PING")]
    data = data_of(trace.render(story))
    assert data["hosts"] == ["n1", "n9", "client-1"]
    assert data["lanes"] == 2
    assert data["end"] == 500_000


@pytest.mark.parametrize(
    ("channel", "name", "expected"),
    [
        ("election", "LOOKING votes 3 (epoch 4, zxid 4:9, round 7)", "votes"),
        ("quorum", "PROPOSAL 5:3", "proposals"),
        ("quorum", "ACK 5:3", "acks"),
        ("quorum", "ACKEPOCH", "discovery"),
        ("quorum", "INFORM 5:3", "commits"),
        ("quorum", "type 77", "other"),
        ("quorum", "", "other"),
    ],
)
def test_the_class_of_a_packet(channel: str, name: str, expected: str) -> None:
    assert trace.packet_class(channel, name) == expected


def test_a_wheel_will_have_the_page() -> None:
    """`trace.html` is no module, so setuptools takes it only if it is named."""
    root = Path(__file__).resolve().parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    named = project["tool"]["setuptools"]["package-data"]["zkserver.sim"]
    folder = root / "src" / "zkserver" / "sim"
    assert sorted(p.name for p in folder.iterdir() if p.suffix not in (".py", "")) == sorted(named)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(name="page", scope="module")
def _page():
    """A page of headless Chromium; `page.complaints` are its console errors."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium here: `make peers` installs it")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        page.expect = playwright.expect
        page.complaints = []
        page.on("console", lambda m: page.complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda r: page.complaints.append(r.url) if r.url[:4] == "http" else None)
        yield page
        browser.close()


def open_page(page, tmp_path: Path, story: Story, fragment: str = "") -> None:
    file = tmp_path / "trace.html"
    file.write_text(trace.render(story), "utf-8")
    page.goto(file.as_uri() + fragment)
    page.wait_for_selector("#rows li")


def test_the_page_in_a_browser(page, tmp_path: Path) -> None:
    open_page(page, tmp_path, plausible_story())
    title, rows = (page.expect(page.locator(name)) for name in ("#events-title", "#rows"))
    whole = page.inner_text("#events-title")
    assert page.inner_text("#badge") == "✗ 1 property broken"

    page.focus("#chart")
    page.keyboard.press("+")
    title.not_to_have_text(whole)
    page.goto(page.url.partition("#")[0] + "#t=5.9,6.06")
    rows.to_contain_text("power off")
    seen = page.inner_text("#rows")
    assert "DOWN" in seen
    assert "LOOKING votes" in seen
    assert "PING" not in seen
    page.goto(page.url.partition("#")[0] + "#t=5.51,5.53")
    rows.not_to_contain_text("LOOKING")
    assert "PING" not in page.inner_text("#rows")
    page.click("#legend [data-kind=pings]")
    rows.to_contain_text("PING")

    page.fill("#search", "partition")
    title.to_have_text("2 matches in the whole run")
    page.click("#rows li >> nth=0 >> button")
    page.expect(page).to_have_url(re.compile(r"#t=11\.9"))
    assert page.complaints == []


def test_hostile_texts_in_a_browser(page, tmp_path: Path) -> None:
    open_page(page, tmp_path, hostile_story())
    assert page.locator("img").count() == 0
    assert page.inner_text("#title").startswith("</script><img src=x onerror=alert(1)>")
    assert page.complaints == []


def test_many_flights_become_bars(page, tmp_path: Path) -> None:
    open_page(page, tmp_path, huge_story(20_000))
    assert "bars of their density" in page.inner_text("#notice")
    page.goto(page.url.partition("#")[0] + "#t=10,11")
    page.expect(page.locator("#notice")).not_to_contain_text("bars")
    assert page.complaints == []
