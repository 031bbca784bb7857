"""Facts about machine and process, also where the machine does not tell."""

import getpass
import os
from pathlib import Path

import pytest

from zkserver.runtime import environment
from zkserver.storage.layout import Layout


def test_a_user_without_a_name_and_a_folder_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    def gone() -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr(os, "getcwd", gone)
    facts = environment.facts()
    assert facts["user.name"] == facts["user.dir"] == "?"
    assert facts["os.name"]


def test_sizes_count_what_is_there(tmp_path: Path) -> None:
    layout = Layout.of(str(tmp_path), str(tmp_path / "logs"))
    folder = Path(layout.snapshot_folder)
    folder.mkdir()
    (folder / "snapshot.0").write_bytes(bytes(478))
    # What vanishes between being listed and being asked for its size looks like this.
    (folder / "snapshot.1").symlink_to(folder / "nowhere")
    assert environment.directory_sizes(layout) == (478, 0)
