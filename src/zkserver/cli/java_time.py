"""Times as Java's programs print them in an English locale, in this machine's time zone.

Each `Clock` keeps the text of the last second: the lines of a log are near each other. The zone is
its short name as the system has it (CET, UTC, or an offset where a zone has no name).
"""

from __future__ import annotations

import time
from collections.abc import Callable

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def short_date(moment: time.struct_time) -> str:
    """11/14/23, 10:13:20 PM UTC: DateFormat with a short date and a long time."""
    date = f"{moment.tm_mon}/{moment.tm_mday}/{moment.tm_year % 100:02}"
    return f"{date}, {_half_day(moment)} {moment.tm_zone}"


def medium_date(moment: time.struct_time) -> str:
    """Nov 14, 2023, 10:13:20 PM: DateFormat as it is without a choice."""
    month = _MONTHS[moment.tm_mon - 1]
    return f"{month} {moment.tm_mday}, {moment.tm_year}, {_half_day(moment)}"


def plain_date(moment: time.struct_time) -> str:
    """Tue Nov 14 22:13:20 UTC 2023: Date.toString."""
    day, month = _DAYS[moment.tm_wday], _MONTHS[moment.tm_mon - 1]
    clock = f"{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}"
    return f"{day} {month} {moment.tm_mday:02} {clock} {moment.tm_zone} {moment.tm_year:04}"


def _half_day(moment: time.struct_time) -> str:
    hour = moment.tm_hour % 12 or 12
    half = "AM" if moment.tm_hour < 12 else "PM"
    return f"{hour}:{moment.tm_min:02}:{moment.tm_sec:02} {half}"


class Clock:
    """Gives times in ms since 1970 in one of the forms above."""

    def __init__(self, form: Callable[[time.struct_time], str]) -> None:
        self._form = form
        self._second: int | None = None
        self._text = ""

    def text(self, time_ms: int) -> str:
        """The time as text."""
        second = time_ms // 1000
        if second != self._second:
            self._second = second
            self._text = self._form(time.localtime(second))
        return self._text
