"""docs/authentication.md, done: the hash of a superuser, and a provider of one's own, installed."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import pages
from tests.support.zkserver_process import subject_server
from zkserver.client import Acl, SyncClient, errors

PAGE = "docs/authentication.md"
ALL = 31


def install(folder: Path) -> None:
    """What pip would leave of a package with this module and this entry point."""
    (module,) = pages.blocks(PAGE, "python")
    (points,) = pages.blocks(PAGE, "toml")
    found = re.fullmatch(r'\[project\.entry-points\."(.+)"\]\n(\w+) = "(.+)"\n', points.text)
    assert found is not None
    group, name, target = found.groups()
    (folder / "team_auth.py").write_text(module.text)
    info = folder / "team_auth-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: team_auth\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")


def test_a_provider_of_ones_own_guards_znodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    install(packages)
    monkeypatch.setenv("PYTHONPATH", str(packages))
    with (
        subject_server(tmp_path / "zkserver", {"zookeeper.authProvider.1": "team"}) as server,
        SyncClient(f"127.0.0.1:{server.port}") as red,
        SyncClient(f"127.0.0.1:{server.port}") as stranger,
    ):
        red.add_auth("team", b"red:open sesame")
        red.create("/ours", b"x", acl=[Acl(ALL, "team", "red")])
        assert red.get("/ours")[0] == b"x"
        with pytest.raises(errors.NoAuth):
            stranger.get("/ours")
        with pytest.raises(errors.AuthFailed):
            stranger.add_auth("team", b"red:guess")


def test_the_hash_of_a_superuser() -> None:
    (program,) = re.findall(r"`python -c '(.*)'`", (pages.ROOT / PAGE).read_text())
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    digest = base64.b64encode(hashlib.sha1(b"super:secret").digest()).decode()
    assert done.stdout == f"super:{digest}\n"
