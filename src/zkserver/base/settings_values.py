"""What a setting is, and how the text of one becomes a value, as Java reads it.

Java reads numbers in three ways, and a configuration must mean here what it means there:

* `STRICT` (Integer.parseInt): decimal digits; anything else refuses the start. All keys that
  ZooKeeper names in its configuration class, and a few properties.
* `DECODED` (Integer.getInteger): also 0x, # and octal 0; anything else silently is the default.
  Most properties. Here it is not silent.
* `PLAIN` (Integer.parseInt in a try): decimal digits; anything else is the default.

Booleans of named keys are true or false, else refused. Properties are true when they say
"true" in any case, and false whatever else they say.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import Enum
from math import isfinite
from typing import Final, Literal, NamedTuple

Value = int | float | bool | str | tuple[str, ...] | None
Source = Literal["cfg", "property", "property-unprefixed"]


class Kind(Enum):
    """What a value looks like; the text is what the reference page calls it."""

    INTEGER = "integer"
    LONG = "long integer"
    PORT = "port"
    DECIMAL = "decimal number"
    BOOLEAN = "true / false"
    SWITCH = "yes / no"
    TEXT = "text"
    LIST = "comma list"
    FAMILY = "family of keys"


INTEGER: Final = Kind.INTEGER
LONG: Final = Kind.LONG
PORT: Final = Kind.PORT
DECIMAL: Final = Kind.DECIMAL
BOOLEAN: Final = Kind.BOOLEAN
SWITCH: Final = Kind.SWITCH
TEXT: Final = Kind.TEXT
LIST: Final = Kind.LIST
FAMILY: Final = Kind.FAMILY


class Reading(Enum):
    """How Java reads the text; see the module docstring."""

    STRICT = "strict"
    DECODED = "decoded"
    PLAIN = "plain"


class Setting(NamedTuple):
    """One key of the configuration file, or one Java property.

    * `name`: as a file has it; families end in `.N` or `.*`.
    * `default`: what holds when the key is not given; `default_text` says it in words where
      it depends on something else.
    * `source`: "cfg" is a key that ZooKeeper names, read from the file alone; "property" is
      the Java property `zookeeper.NAME`, set by -D or in the file; "property-unprefixed" is
      the Java property `NAME`, set by -D alone.
    * `field`: the attribute of `Config`, "" where nothing here reads it.
    * `built`: whether this release does what the key asks for.
    * `off`: the text that asks for what an unbuilt feature does anyway: nothing.
    * `aliases`: further Java properties that are read when this one is not given.
    """

    name: str
    kind: Kind
    default: Value
    unit: str
    meaning: str
    source: Source
    field: str = ""
    built: bool = True
    note: str = ""
    default_text: str = ""
    reading: Reading = Reading.DECODED
    off: str = ""
    aliases: tuple[str, ...] = ()
    group: str = ""

    @property
    def java_name(self) -> str:
        """The name of the Java property; "" for keys of the file alone."""
        if self.source == "cfg":
            return ""
        return self.name if self.source == "property-unprefixed" else f"zookeeper.{self.name}"

    @property
    def key(self) -> str:
        """What tells it from all others: a property's name, or the name of a key of the file."""
        return self.java_name or self.name

    @property
    def is_family(self) -> bool:
        """Whether `name` stands for all keys that begin with it."""
        return self.kind is Kind.FAMILY


def cfg(
    name: str,
    kind: Kind,
    default: Value,
    unit: str,
    meaning: str,
    field: str = "",
    *,
    note: str = "",
    default_text: str = "",
    aliases: tuple[str, ...] = (),
) -> Setting:
    """A key that ZooKeeper names in its configuration class."""
    return Setting(
        name, kind, default, unit, meaning, "cfg", field, note=note, default_text=default_text,
        reading=Reading.STRICT, aliases=aliases,
    )


def prop(
    name: str,
    kind: Kind,
    default: Value,
    unit: str,
    meaning: str,
    field: str = "",
    *,
    note: str = "",
    default_text: str = "",
    reading: Reading = Reading.DECODED,
    off: str = "",
    aliases: tuple[str, ...] = (),
) -> Setting:
    """The Java property `zookeeper.NAME`."""
    return Setting(
        name, kind, default, unit, meaning, "property", field, note=note,
        default_text=default_text, reading=reading, off=off, aliases=aliases,
    )


def bare(
    name: str,
    kind: Kind,
    default: Value,
    unit: str,
    meaning: str,
    field: str = "",
    *,
    note: str = "",
    default_text: str = "",
) -> Setting:
    """The Java property `NAME`, without a prefix: a line of the file never reaches it."""
    return Setting(
        name, kind, default, unit, meaning, "property-unprefixed", field, note=note,
        default_text=default_text,
    )


def group(title: str, *settings: Setting) -> tuple[Setting, ...]:
    """`settings` under one heading of the reference page."""
    return tuple(setting._replace(group=title) for setting in settings)


def partly(
    title: str, *settings: Setting, later: Collection[str] = (), built: Collection[str] = ()
) -> tuple[Setting, ...]:
    """A group of settings, of whose features this release has some.

    `later` names those that it does not have, or else `built` those that it has.
    """
    return tuple(
        setting._replace(
            group=title,
            built=setting.name in built if built else setting.name not in later,
        )
        for setting in settings
    )


def later(title: str, *settings: Setting) -> tuple[Setting, ...]:
    """A group of settings whose feature this release does not have."""
    return tuple(setting._replace(group=title, built=False) for setting in settings)


_DECIMAL_DIGITS = re.compile(r"[+-]?\d+")
_DECODED = re.compile(r"([+-]?)(?:(?:0[xX]|#)([0-9a-fA-F]+)|0([0-7]+)|(0|[^\D0]\d*))")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[dDfF]?")
_LIMITS = {Kind.INTEGER: 2**31, Kind.PORT: 2**31, Kind.LONG: 2**63}


def parse_integer(text: str, bits: int = 32) -> int:
    """Integer.parseInt or Long.parseLong: decimal digits with an optional sign.

    Raises ValueError that says what is allowed.
    """
    limit = 1 << (bits - 1)
    if _DECIMAL_DIGITS.fullmatch(text):
        number = int(text)
        if -limit <= number < limit:
            return number
    if bits == 32:
        raise ValueError(f"must be an integer from {-limit} to {limit - 1}")
    raise ValueError(f"must be an integer of {bits} bits")


def parse_port(text: str) -> int:
    """A port number, 0 meaning any free one. Raises ValueError that says what is allowed."""
    if _DECIMAL_DIGITS.fullmatch(text) and 0 <= int(text) <= 65535:
        return int(text)
    raise ValueError("must be a port, 0 to 65535")


def decode_integer(text: str, limit: int) -> int | None:
    """Integer.decode or Long.decode, within -limit to limit - 1; None if it is no number."""
    match = _DECODED.fullmatch(text)
    if match is None:
        return None
    sign, hexadecimal, octal, decimal = match.groups()
    number = int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else int(decimal)
    if sign == "-":
        number = -number
    return number if -limit <= number < limit else None


def read(setting: Setting, text: str) -> tuple[Value, str]:
    """The value of `text`, and "" or what Java overlooks about it.

    Raises ValueError, with what is allowed, where Java refuses to start.
    """
    kind = setting.kind
    if kind is Kind.BOOLEAN:
        return _read_boolean(setting, text)
    if kind is Kind.SWITCH:
        value = text == "yes" if setting.default is False else text != "no"
        problem = "" if text in ("yes", "no") else f"is neither yes nor no: {_taken(value)}"
        return value, problem
    if kind is Kind.LIST:
        return tuple(part for part in map(str.strip, text.split(",")) if part), ""
    if kind is Kind.DECIMAL:
        return _read_decimal(setting, text)
    if kind in _LIMITS:
        return _read_integer(setting, text)
    return text, ""


def _taken(value: bool) -> str:
    return f"taken as {'yes' if value else 'no'}"


def _read_boolean(setting: Setting, text: str) -> tuple[Value, str]:
    word = text.lower()
    if word in ("true", "false"):
        return word == "true", ""
    if setting.reading is Reading.STRICT:
        raise ValueError("must be true or false")
    return False, "is neither true nor false: taken as false"


def _read_decimal(setting: Setting, text: str) -> tuple[Value, str]:
    # Double.parseDouble, less its hexadecimal form, NaN and the infinities.
    stripped = text.strip()
    if _DECIMAL.fullmatch(stripped):
        number = float(stripped.rstrip("dDfF"))
        if isfinite(number):
            return number, ""
    if setting.reading is Reading.STRICT:
        raise ValueError("must be a decimal number")
    return setting.default, f"is not a number: taken as {setting.default}"


def _read_integer(setting: Setting, text: str) -> tuple[Value, str]:
    if setting.kind is Kind.PORT and setting.reading is Reading.STRICT:
        return parse_port(text), ""
    limit = _LIMITS[setting.kind]
    bits = limit.bit_length()
    if setting.reading is Reading.STRICT:
        return parse_integer(text, bits), ""
    number: int | None
    if setting.reading is Reading.DECODED:
        number = decode_integer(text, limit)
    else:
        try:
            number = parse_integer(text, bits)
        except ValueError:
            number = None
    if number is None:
        taken = setting.default_text or setting.default
        return setting.default, f"is not a number that fits: taken as {taken}"
    return number, ""
