"""`SETTINGS`: every key and property of ZooKeeper 3.9 by name, in one table.

The table is read by `config.load` and printed as docs/configuration.md by `reference_page`
(`python -m zkserver.base.settings` writes that to standard output). A key that is in no row is
unknown. Rows of features that this release does not have are marked `built=False`.
"""

from __future__ import annotations

from zkserver.base.settings_ensemble import (
    CLIENT_GROUP,
    ENSEMBLE_GROUPS,
    ENSEMBLE_SETTINGS,
    LAST_SETTINGS,
    OTHER_SETTINGS,
)
from zkserver.base.settings_security import ACCESS, SECURITY_SETTINGS
from zkserver.base.settings_server import MACHINERY, SERVER_SETTINGS
from zkserver.base.settings_values import Kind, Setting, Value

SETTINGS: tuple[Setting, ...] = (
    SERVER_SETTINGS
    + ACCESS
    + ENSEMBLE_SETTINGS
    + SECURITY_SETTINGS
    + OTHER_SETTINGS
    + MACHINERY
    + LAST_SETTINGS
)

_CFG = {s.name: s for s in SETTINGS if s.source == "cfg" and not s.is_family}
_PROPERTIES = {s.java_name: s for s in SETTINGS if s.java_name and not s.is_family}
_ALIASES = {alias: s for s in SETTINGS for alias in s.aliases}

# Java tests these prefixes of a key of the file, in this order; two of them without a dot.
_CFG_FAMILIES = tuple(
    (prefix, next(s for s in SETTINGS if s.name == name))
    for prefix, name in (
        ("server.", "server.N"),
        ("group", "group.N"),
        ("weight", "weight.N"),
        ("metricsProvider.", "metricsProvider.*"),
    )
)
_PROPERTY_FAMILIES = tuple(
    (s.java_name.removesuffix("*"), s) for s in SETTINGS if s.is_family and s.java_name
)

# Names under which Apache's guide describes properties, though as keys they do nothing.
_NAMES_OF_THE_GUIDE = {
    "connectionMaxTokens": "connection_throttle_tokens",
    "connectionTokenFillTime": "connection_throttle_fill_time",
    "connectionTokenFillCount": "connection_throttle_fill_count",
    "connectionFreezeTime": "connection_throttle_freeze_time",
    "connectionDropIncrease": "connection_throttle_drop_increase",
    "connectionDropDecrease": "connection_throttle_drop_decrease",
    "connectionDecreaseRatio": "connection_throttle_decrease_ratio",
    "requestThrottleLimit": "request_throttle_max_requests",
    "requestThrottleStallTime": "request_throttle_stall_time",
    "requestThrottleDropStale": "request_throttle_drop_stale",
    "requestStaleLatencyCheck": "request_stale_latency_check",
    "requestStaleConnectionCheck": "request_stale_connection_check",
    "advancedFlowControlEnabled": "netty.advancedFlowControl.enabled",
    "maxConcurrentSnapSyncs": "leader.maxConcurrentSnapSyncs",
    "maxConcurrentDiffSyncs": "leader.maxConcurrentDiffSyncs",
    "maxTimeToWaitForEpoch": "leader.maxTimeToWaitForEpoch",
}
_BY_FOLDED_NAME = {s.name.casefold(): s.name for s in reversed(SETTINGS) if not s.is_family}


def find_key(key: str) -> Setting | None:
    """The setting that `key` of a configuration file sets as a key that ZooKeeper names."""
    setting = _CFG.get(key)
    if setting is not None:
        return setting
    return next((s for prefix, s in _CFG_FAMILIES if key.startswith(prefix)), None)


def find_property(java_name: str) -> Setting | None:
    """The setting that is read from the Java property `java_name`."""
    setting = _PROPERTIES.get(java_name) or _ALIASES.get(java_name)
    if setting is not None:
        return setting
    return next((s for prefix, s in _PROPERTY_FAMILIES if java_name.startswith(prefix)), None)


def suggest(key: str) -> str:
    """The known name that `key`, without any prefix, was probably meant to be, or ""."""
    if key in _NAMES_OF_THE_GUIDE:
        return _NAMES_OF_THE_GUIDE[key]
    # Slow to import, and most configurations have no unknown key.
    from difflib import get_close_matches

    near = get_close_matches(key.casefold(), list(_BY_FOLDED_NAME), n=1, cutoff=0.75)
    return _BY_FOLDED_NAME[near[0]] if near else ""


def _shown_default(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    return "" if value is None else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def _where_set(setting: Setting) -> str:
    if setting.source == "property":
        return f"file, `-D{setting.java_name}`"
    if setting.source == "property-unprefixed":
        return f"`-D{setting.name}` alone"
    return ", ".join(["file", *(f"`-D{alias}`" for alias in setting.aliases)])


def _state(setting: Setting) -> str:
    if setting.built:
        return "built"
    return "for clients" if setting.group == CLIENT_GROUP else "accepted, not built yet"


def _row(setting: Setting) -> str:
    unit = "" if setting.kind in (Kind.TEXT, Kind.BOOLEAN) else setting.unit
    default = setting.default_text or _shown_default(setting.default)
    meaning = f"{setting.meaning}. {setting.note}" if setting.note else f"{setting.meaning}."
    cells = [
        f"`{setting.name}`",
        setting.kind.value,
        _cell(default),
        unit,
        _cell(meaning[0].upper() + meaning[1:]),
        _where_set(setting),
        _state(setting),
    ]
    return f"| {' | '.join(cells)} |"


_PAGE_HEAD = """\
# Configuration

<!-- Written by `python -m zkserver.base.settings`; do not edit. -->

A server reads the files that an Apache ZooKeeper 3.9 server reads: `zoo.cfg`, `myid` in the data
folder, and the dynamic file if `dynamicConfigFile` names one. The syntax is that of Java's
properties: one `key=value` a line, `#` begins a comment, a backslash at the end continues a line,
the last of two equal keys wins, and the bytes are ISO-8859-1.

* A key that ZooKeeper names (below: set in the *file*) is read from the file alone.
* Any other key `K` of the file sets the Java property `zookeeper.K`. So does `-D zookeeper.K=V` on
  the command line, and `-Dzookeeper.K=V` in `SERVER_JVMFLAGS` or `JVMFLAGS`. The file wins.
* A few properties have no prefix; no line of the file reaches them, only `-D`.

Named keys are read strictly: a number has decimal digits, a boolean is true or false, and anything
else refuses the start. Properties are read as Java reads them: numbers may be written `0x1F`, and a
text that is no number counts as not given; a boolean is false unless it says true. The server warns
of both, of unknown keys (with the nearest known one), and of keys whose feature it does not have.
"""

_COLUMNS = ("Key", "Type", "Default", "Unit", "Meaning", "Set in", "State")


def reference_page() -> str:
    """docs/configuration.md: the table, one section for each group."""
    lines = [_PAGE_HEAD]
    heading = ""
    for setting in SETTINGS:
        if setting.group != heading:
            heading = setting.group
            lines.append("" if len(lines) > 1 else "## Contents\n\n" + _contents())
            lines.append(f"## {heading}\n")
            if heading in ENSEMBLE_GROUPS:
                lines.append("Without meaning for a standalone server.\n")
            lines.append(f"| {' | '.join(_COLUMNS)} |")
            lines.append("|" + " --- |" * len(_COLUMNS))
        lines.append(_row(setting))
    return "\n".join(lines) + "\n"


def _contents() -> str:
    titles = dict.fromkeys(setting.group for setting in SETTINGS)
    links = [f"* [{title}](#{_anchor(title)})" for title in titles]
    return "\n".join(links) + "\n"


def _anchor(title: str) -> str:
    return title.lower().replace("'", "").replace(" ", "-")


if __name__ == "__main__":
    print(reference_page(), end="")
