"""The table of settings, how Java reads values, and the page made from the table."""

from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

from zkserver.base import settings
from zkserver.base.config import Config, defaults
from zkserver.base.settings import SETTINGS, find_key, find_property, reference_page, suggest
from zkserver.base.settings_values import (
    BOOLEAN,
    DECIMAL,
    INTEGER,
    LIST,
    LONG,
    PORT,
    SWITCH,
    TEXT,
    Kind,
    Reading,
    cfg,
    decode_integer,
    parse_integer,
    prop,
    read,
)

ROOT = Path(__file__).parents[2]

# What follows from several keys, or from none.
DERIVED_FIELDS = {"server_id", "last_seen_membership", "is_distributed", "text", "properties"}


def test_every_setting_has_its_own_key() -> None:
    keys = [setting.key for setting in SETTINGS]
    assert len(set(keys)) == len(keys)
    aliases = [alias for setting in SETTINGS for alias in setting.aliases]
    assert not set(aliases) & set(keys)


def test_every_field_of_the_configuration_is_in_the_table_and_the_other_way_round() -> None:
    in_table = {setting.field for setting in SETTINGS if setting.field}
    in_config = {each.name for each in fields(Config)}
    assert in_table | DERIVED_FIELDS == in_config
    assert not in_table & DERIVED_FIELDS


def test_what_is_built_is_read_by_something() -> None:
    unread = [
        s.name
        for s in SETTINGS
        if s.built and not s.field and not s.name.startswith("ssl.quorum.")  # tls_settings
    ]
    assert unread == ["sessionRequireClientSASLAuth"]


def test_the_types_of_table_and_configuration_agree() -> None:
    hints = get_type_hints(Config)
    by_kind: dict[Kind, tuple[object, ...]] = {
        INTEGER: (int,),
        LONG: (int,),
        PORT: (int | None,),
        DECIMAL: (float,),
        BOOLEAN: (bool, bool | None),
        SWITCH: (bool,),
        TEXT: (str, str | None),
        LIST: (tuple[str, ...],),
    }
    for setting in SETTINGS:
        if setting.field and setting.kind in by_kind:
            assert hints[setting.field] in by_kind[setting.kind], setting.name


def test_the_defaults_of_the_table_are_those_of_the_configuration() -> None:
    config = defaults()
    for setting in SETTINGS:
        if setting.field and not setting.is_family and not setting.default_text:
            assert getattr(config, setting.field) == setting.default, setting.name


def test_every_setting_says_what_it_means() -> None:
    for setting in SETTINGS:
        assert setting.meaning, setting.name
        assert setting.group, setting.name
        assert not setting.meaning.endswith("."), setting.name
        if setting.default is None:
            assert setting.default_text or "class" in setting.meaning or setting.name.startswith(
                ("log", "root", "console")
            ), setting.name


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("dataDir", "dataDir"),
        ("server.1", "server.N"),
        ("group.1", "group.N"),
        ("weights", "weight.N"),
        ("metricsProvider.httpPort", "metricsProvider.*"),
        ("metricsProvider.className", "metricsProvider.className"),
        ("snapCount", None),
        ("server1", None),
    ],
)
def test_finds_keys_of_the_file(key: str, name: str | None) -> None:
    setting = find_key(key)
    assert (setting and setting.name) == name


@pytest.mark.parametrize(
    ("java_name", "name"),
    [
        ("zookeeper.snapCount", "snapCount"),
        ("jute.maxbuffer", "jute.maxbuffer"),
        ("zookeeper.jute.maxbuffer", None),
        ("fsync.warningthresholdms", "fsync.warningthresholdms"),
        ("zookeeper.fsync.warningthresholdms", "fsync.warningthresholdms"),
        ("zookeeper.multiAddress.enabled", "multiAddress.enabled"),
        ("zookeeper.authProvider.7", "authProvider.*"),
        ("zookeeper.superUser.x", "superUser.*"),
        ("zookeeper.ssl.quorum.keyStore.location", "ssl.quorum.keyStore.location"),
        ("zookeeper.tickTime", None),
        ("snapCount", None),
    ],
)
def test_finds_properties(java_name: str, name: str | None) -> None:
    setting = find_property(java_name)
    assert (setting and setting.name) == name


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("datadir", "dataDir"),
        ("tickTme", "tickTime"),
        ("snapcount", "snapCount"),
        ("autopurge.snapRetain", "autopurge.snapRetainCount"),
        ("maxClientConnections", "maxClientCnxns"),
        ("connectionMaxTokens", "connection_throttle_tokens"),
        ("requestThrottleLimit", "request_throttle_max_requests"),
        ("colour", ""),
    ],
)
def test_suggests_the_nearest_key(key: str, meant: str) -> None:
    assert suggest(key) == meant


# What Integer.getInteger and Long.getLong of Java 17 make of these.
@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", 5), ("+5", 5), ("-5", -5), ("0x10", 16), ("-0x10", -16), ("#1f", 31), ("0X1F", 31),
        ("010", 8), ("0", 0), ("00", 0), ("08", None), ("1_0", None), (" 5", None), ("5 ", None),
        ("", None), ("0x", None), ("٣", 3), ("abc", None), ("1.5", None), ("--5", None),
        ("#0x10", None), ("2147483647", 2**31 - 1), ("-2147483648", -(2**31)),
        ("2147483648", None), ("-2147483649", None),
    ],
)
def test_decodes_numbers_as_java_does(text: str, number: int | None) -> None:
    assert decode_integer(text, 2**31) == number


def test_parses_numbers_as_java_does() -> None:
    assert [parse_integer(text) for text in ("+5", "0005", "-0", "٣")] == [5, 5, 0, 3]
    assert parse_integer("3000000000", 64) == 3000000000
    for text in ("", "+", "0x10", "1_0", " 5", "2147483648", "1.5"):
        with pytest.raises(ValueError, match="must be an integer"):
            parse_integer(text)


def test_named_keys_are_read_strictly() -> None:
    boolean = cfg("b", BOOLEAN, False, "", "")
    assert read(boolean, "TRUE") == (True, "")
    with pytest.raises(ValueError, match="must be true or false"):
        read(boolean, "yes")
    port = cfg("p", PORT, None, "", "")
    assert read(port, "0") == (0, "")
    for text in ("65536", "-1", "x", ""):
        with pytest.raises(ValueError, match="must be a port, 0 to 65535"):
            read(port, text)


def test_properties_are_read_as_java_reads_them() -> None:
    assert read(prop("b", BOOLEAN, True, "", ""), "yes") == (
        False,
        "is neither true nor false: taken as false",
    )
    assert read(prop("n", INTEGER, 7, "", ""), "x") == (
        7,
        "is not a number that fits: taken as 7",
    )
    plain = prop("n", LONG, 7, "", "", reading=Reading.PLAIN)
    assert read(plain, "010") == (10, "")
    assert read(plain, "0x10")[0] == 7
    assert read(prop("l", LIST, (), "", ""), " a, b ,,c") == (("a", "b", "c"), "")


def test_switches_have_one_word_that_counts() -> None:
    off_by_default = prop("s", SWITCH, False, "", "")
    on_by_default = prop("s", SWITCH, True, "", "")
    for text, off, on in (("yes", True, True), ("no", False, False), ("true", False, True)):
        assert read(off_by_default, text)[0] is off
        assert read(on_by_default, text)[0] is on
    assert read(on_by_default, "false")[1] == "is neither yes nor no: taken as yes"


def test_decimal_numbers() -> None:
    strict = prop("d", DECIMAL, 0.5, "", "", reading=Reading.STRICT)
    assert [read(strict, text)[0] for text in ("5", " 0.5 ", "1e3", "5d", ".5", "5.")] == [
        5.0, 0.5, 1000.0, 5.0, 0.5, 5.0,
    ]
    for text in ("", "x", "1_0", "inf", "NaN", "1,5", "1e999"):
        with pytest.raises(ValueError, match="must be a decimal number"):
            read(strict, text)
    assert read(prop("d", DECIMAL, 0.5, "", ""), "x") == (0.5, "is not a number: taken as 0.5")


def test_the_reference_page_in_the_docs_is_that_of_the_table() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == reference_page(), "docs/configuration.md is old: make docs"


def test_the_reference_page_names_every_setting() -> None:
    page = reference_page()
    for setting in settings.SETTINGS:
        assert f"| `{setting.name}` |" in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {8}
