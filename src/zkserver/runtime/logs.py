"""Logging: one line per event on standard error, readable or as JSON.

* A line is a message and its fields: `log.info("snapshot written", zxid="0x5", took_ms=12)`.
* An event is one line whatever its fields hold: control characters that a client
  put into a path are escaped. Only a traceback takes lines of its own, and in
  JSON it is a field.
* Never a line per request: the hot path has no logger.
* The audit log's events go the same way, whatever the level: `audit: ` and Java's line, which is
  `key=value` separated by tabs, or JSON with the logger "audit".
* Levels and their names are those of Java's log: TRACE, DEBUG, INFO, WARN, ERROR.

The standard `logging` module is underneath, so records of asyncio and of other
libraries come out in the same form. Left out: log files and their rotation,
which the daemon's redirection or the service manager does.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import TextIO

AUDIT = "audit"
_audit_logger = logging.getLogger(AUDIT)
_audit_logger.setLevel(logging.INFO)

Field = str | bytes | int | float | bool | None

LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40}
"""Names of the levels, least severe first, with the number `logging` knows them by."""

_RESERVED = ("time", "level", "logger", "message", "traceback")


class Log:
    """A named source of events. Fields are keyword arguments; their order is kept."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def is_enabled(self, level: str) -> bool:
        """Whether events of that level are written; guards costly fields."""
        return self._logger.isEnabledFor(LEVELS[level])

    def trace(self, message: str, /, **fields: Field) -> None:
        """Log what only somebody who follows single steps wants to see."""
        self._write(LEVELS["TRACE"], message, fields)

    def debug(self, message: str, /, **fields: Field) -> None:
        """Log what helps to find a fault."""
        self._write(LEVELS["DEBUG"], message, fields)

    def info(self, message: str, /, **fields: Field) -> None:
        """Log an event of ordinary life."""
        self._write(LEVELS["INFO"], message, fields)

    def warn(self, message: str, /, **fields: Field) -> None:
        """Log what the operator should look at, though the server goes on."""
        self._write(LEVELS["WARN"], message, fields)

    def error(
        self, message: str, /, *, error: BaseException | None = None, **fields: Field
    ) -> None:
        """Log a failure; the traceback of `error` follows if one is given."""
        self._write(LEVELS["ERROR"], message, fields, error)

    def _write(
        self,
        level: int,
        message: str,
        fields: dict[str, Field],
        error: BaseException | None = None,
    ) -> None:
        if self._logger.isEnabledFor(level):
            # The message is an argument, not the format: it may hold a "%".
            self._logger.log(level, "%s", message, extra={"fields": fields}, exc_info=error)


class TextFormatter(logging.Formatter):
    """`2026-01-31 12:00:00.123 INFO  message key=value …`, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        """One event as a line without its line end."""
        seconds = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        level = _level_name(record.levelno)
        if record.name == AUDIT:
            pairs = "\t".join(f"{key}={_escape(_text(v))}" for key, v in _fields(record).items())
            return f"{seconds}.{int(record.msecs):03d} {level:<5} audit: {pairs}"
        line = f"{seconds}.{int(record.msecs):03d} {level:<5} {_escape(record.getMessage())}"
        for key, value in _fields(record).items():
            line += f" {key}={_quote(value)}"
        traceback = _traceback(self, record)
        return f"{line}\n{traceback}" if traceback else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, then the fields.

    A field named like one of those gets an underscore behind its name.
    """

    def __init__(self) -> None:
        super().__init__()
        import json  # Only machines' logs pay for this import.

        self._encode = json.JSONEncoder(separators=(",", ":"), default=str).encode

    def format(self, record: logging.LogRecord) -> str:
        """One event as a JSON object without its line end."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        event: dict[str, Field] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": _level_name(record.levelno),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for key, value in _fields(record).items():
            name = key + "_" if key in _RESERVED else key
            event[name] = _text(value) if isinstance(value, bytes) else value
        traceback = _traceback(self, record)
        if traceback:
            event["traceback"] = traceback
        return self._encode(event)


def get_log(name: str) -> Log:
    """The log of a part of the server, for example `get_log("client_port")`."""
    return Log(name)


def audit(fields: Mapping[str, str]) -> None:
    """Log an event of the audit log: whatever the level of the others is."""
    _audit_logger.log(LEVELS["INFO"], "%s", AUDIT, extra={"fields": dict(fields)})


def configure(*, json: bool = False, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all events of `level` (a key of `LEVELS`) and above to `stream`, or to stderr.

    May be called again; the last call counts.
    """
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter() if json else TextFormatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(LEVELS[level])
    # A log that cannot be written must not disturb the server.
    logging.raiseExceptions = False


def _level_name(number: int) -> str:
    """The level at or below a number of `logging`: CRITICAL is an ERROR here."""
    found = "TRACE"
    for name, value in LEVELS.items():
        if value <= number:
            found = name
    return found


def _fields(record: logging.LogRecord) -> dict[str, Field]:
    """The fields of an event; none where another library made the record."""
    fields: dict[str, Field] = getattr(record, "fields", {})
    return fields


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""


def _text(value: Field) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(round(value, 3))
    return "none" if value is None else str(value)


def _escape(text: str) -> str:
    """The text with its line ends and other unprintable characters as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _quote(value: Field) -> str:
    """A value as it stands, or between quotes if it would not read as one word."""
    text = _escape(_text(value))
    if text and not any(c in text for c in ' "='):
        return text
    escaped = text.replace('"', '\\"')
    return f'"{escaped}"'
