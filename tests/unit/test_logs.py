"""One event is one line, readable or JSON, whatever its fields hold."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from zkserver.runtime import logs


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    kept = list(root.handlers), root.level, logging.raiseExceptions
    yield
    root.handlers[:], _, logging.raiseExceptions = kept
    root.setLevel(kept[1])


def configured(**options) -> io.StringIO:
    stream = io.StringIO()
    logs.configure(stream=stream, **options)
    return stream


def test_a_line_has_time_level_message_and_fields_in_order() -> None:
    out = configured()
    logs.get_log("storage").info("snapshot written", zxid="0x5", took_ms=12)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO  snapshot written zxid=0x5 took_ms=12\n",
        out.getvalue(),
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (1.23456, "1.235"),
        (True, "true"),
        (None, "none"),
        ("plain", "plain"),
        ("", '""'),
        ("two words", '"two words"'),
        ('say "no"', r'"say \"no\""'),
        ("a=b", '"a=b"'),
        ("line\nend", r"line\nend"),
        ("esc\x1b[31m", r"esc\x1b[31m"),
        (b"/path", "/path"),
        (b"/\xff", r"/\xff"),
        ("żółw", "żółw"),
    ],
)
def test_values_stay_one_word(value, text: str) -> None:
    out = configured()
    logs.get_log("x").info("event", field=value)
    assert out.getvalue().endswith(f" event field={text}\n")


def test_messages_stay_one_line_and_are_no_formats() -> None:
    out = configured()
    logs.get_log("x").warn("100 % of\r\n%s")
    assert out.getvalue().endswith(" WARN  100 % of\\r\\n%s\n")


def test_levels_are_those_of_java() -> None:
    log = logs.get_log("x")
    for least, number in (("TRACE", 5), ("DEBUG", 4), ("INFO", 3), ("WARN", 2), ("ERROR", 1)):
        out = configured(level=least)
        log.trace("1")
        log.debug("2")
        log.info("3")
        log.warn("4")
        log.error("5")
        written = [line.split()[2] for line in out.getvalue().splitlines()]
        assert written == ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"][-number:]
        assert log.is_enabled("DEBUG") == (number >= 4)


def test_json_is_one_object_a_line() -> None:
    out = configured(json=True)
    log = logs.get_log("storage")
    log.info("a\nb", zxid="0x5", took_ms=12, path=b"/\xff", ok=True, none=None)
    log.warn("next")
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first == {
        "level": "INFO",
        "logger": "storage",
        "message": "a\nb",
        "zxid": "0x5",
        "took_ms": 12,
        "path": "/\\xff",
        "ok": True,
        "none": None,
    }
    assert second["level"] == "WARN"


def test_json_fields_do_not_hide_the_event() -> None:
    out = configured(json=True)
    logs.get_log("x").info("event", time="now", logger="me")
    event = json.loads(out.getvalue())
    assert (event["logger"], event["logger_"], event["time_"]) == ("x", "me", "now")


def test_the_traceback_follows_an_error() -> None:
    text, machine = io.StringIO(), io.StringIO()
    try:
        raise ValueError("bad")
    except ValueError as error:
        logs.configure(stream=text)
        logs.get_log("x").error("failed", error=error, file="log.1")
        logs.configure(stream=machine, json=True)
        logs.get_log("x").error("failed", error=error)
    lines = text.getvalue().splitlines()
    assert lines[0].endswith(" ERROR failed file=log.1")
    assert lines[1].startswith("Traceback")
    assert lines[-1] == "ValueError: bad"
    assert machine.getvalue().count("\n") == 1
    assert "ValueError: bad" in json.loads(machine.getvalue())["traceback"]


def test_other_libraries_events_have_the_same_form() -> None:
    out = configured()
    logging.getLogger("asyncio").critical("lost %d", 3)
    assert out.getvalue().endswith(" ERROR lost 3\n")


def test_a_second_configuration_replaces_the_first() -> None:
    first = configured()
    second = configured()
    logs.get_log("x").info("event")
    assert first.getvalue() == ""
    assert second.getvalue().count("event") == 1


def test_a_log_that_cannot_be_written_disturbs_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    logs.configure(stream=Full())
    logs.get_log("x").info("event")
    assert capsys.readouterr() == ("", "")
