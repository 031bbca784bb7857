"""Configurations from texts, and what is said about them."""

from collections.abc import Mapping

import pytest

from zkserver.base import config
from zkserver.base.config import Config, ConfigError, ConfigSource
from zkserver.base.errors import ExitCode

BASE = "dataDir=/data\nclientPort=2181\n"


def load(
    text: str,
    properties: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> tuple[Config, list[str]]:
    """The configuration that zoo.cfg with this text gives, and its warnings as text."""
    source = ConfigSource(
        file_name="zoo.cfg",
        text=text,
        properties=properties or {},
        read_text=(files or {}).get,
    )
    loaded, warnings = config.load(source)
    return loaded, [str(warning) for warning in warnings]


def refusal(
    text: str,
    properties: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> str:
    """The message with which such a configuration is refused."""
    with pytest.raises(ConfigError) as refused:
        load(text, properties, files)
    assert refused.value.exit_code == ExitCode.INVALID_INVOCATION
    return str(refused.value)
