"""tree, export and import: what they print, and that what comes back is what was there."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.support.shell_process import run_shell

BINARY = bytes(range(256))


def told(port: int, *words: str) -> list[str]:
    """The lines of a command that must succeed, without the shell's greeting."""
    done = run_shell(port, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[5:]


@pytest.fixture(name="zoo", scope="package")
def _zoo(port: int) -> str:
    script = f"""\
create /park null-data-comes-back
create /park/null
create /park/empty ""
create /park/text "größe 7"
set -b /park/text {base64.b64encode('größe 7'.encode()).decode()}
create /park/binary x
set -b /park/binary {base64.b64encode(BINARY).decode()}
create /park/open "with children"
create /park/open/kept a world:anyone:r
create /park/open/kept2 b ip:127.0.0.1:cdrwa,world:anyone:r
create "/park/open/a name" c
create /park/shut d
create /park/shut/below e
setAcl /park/shut world:anyone:ra
quit
"""
    assert run_shell(port, lines=script).returncode == 0
    return "/park"


def contents(port: int, path: str) -> list[str]:
    """All that can be seen of a subtree, without its own name."""
    paths = told(port, "ls", "-R", path)
    script = "".join(f'get -b "{one}"\ngetAcl "{one}"\n' for one in paths)
    lines = run_shell(port, lines=script, merged=True).stdout.splitlines()[7:]
    return [one.removeprefix(path) for one in paths] + lines


def test_tree_draws_a_subtree(port: int, zoo: str) -> None:
    assert told(port, "tree", zoo) == [
        "/park  20 bytes",
        "├── binary  256 bytes",
        "├── empty",
        "├── null",
        "├── open  13 bytes",
        "│   ├── a name  1 byte",
        "│   ├── kept  1 byte",
        "│   └── kept2  1 byte",
        "├── shut  1 byte",
        "│   └── below  1 byte",
        "└── text  9 bytes",
        "11 znodes, 303 bytes",
    ]
    assert told(port, "tree", "-d", "1", zoo)[4:7] == [
        "├── open  13 bytes  (3 below)",
        "├── shut  1 byte  (1 below)",
        "└── text  9 bytes",
    ]


def test_what_was_exported_is_imported(port: int, zoo: str, tmp_path: Path) -> None:
    file = str(tmp_path / "zoo.json")
    assert told(port, "export", zoo, file) == [f"Exported 11 znodes of /park to {file}"]
    assert told(port, "import", file, "/copy/of/park") == [f"Imported {file} to /copy/of/park: 11 created"]
    assert contents(port, "/copy/of/park") == contents(port, zoo)
    assert told(port, "import", file, "/copy/of/park") == [f"Imported {file} to /copy/of/park: 11 same"]


def test_an_import_leaves_what_differs_unless_told(port: int, zoo: str, tmp_path: Path) -> None:
    file = str(tmp_path / "zoo.json")
    told(port, "export", zoo, file)
    told(port, "import", file, "/changed")
    told(port, "set", "/changed/text", "other")
    told(port, "setAcl", "/changed/shut", "world:anyone:cdrwa")
    kept = run_shell(port, "import", file, "/changed")
    assert kept.returncode == 1
    assert "2 znodes are there already and differ" in kept.stderr
    assert told(port, "get", "/changed/text") == ["other"]
    assert told(port, "import", "-o", file, "/changed") == [f"Imported {file} to /changed: 9 same, 2 overwritten"]
    assert contents(port, "/changed") == contents(port, zoo)


def test_an_export_replaces_no_file_unasked(port: int, zoo: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text("precious")
    refused = run_shell(port, "export", zoo, str(file))
    assert (refused.returncode, refused.stderr) == (1, f"{file} is there already\n")
    assert file.read_text() == "precious"
    told(port, "export", "-f", zoo, str(file))
    assert json.loads(file.read_text())["root"] == "/park"
    assert run_shell(port, "export", "/none", str(tmp_path / "n")).stderr == "Node does not exist: /none\n"
    assert [one.name for one in tmp_path.iterdir()] == ["mine.json"]


def test_ephemerals_stay_out_and_the_system_too(port: int, tmp_path: Path) -> None:
    file = str(tmp_path / "all.json")
    script = f"create /held\ncreate -e /held/now x\nexport /held {file}\nexport -f / {file}\n"
    lines = run_shell(port, lines=script).stdout.splitlines()
    assert f"Exported 1 znodes of /held to {file}; left out: 1 ephemeral" in lines
    paths = [record["path"] for record in json.loads(Path(file).read_text())["znodes"]]
    assert paths[0] == ""
    assert "/held" in paths
    assert not [path for path in paths if path.startswith("/parkkeeper") or path == "/held/now"]
    assert told(port, "import", file, "/")[0].endswith(" same")


def test_modes_of_a_file_are_honoured(port: int, tmp_path: Path) -> None:
    file = tmp_path / "modes.json"
    znodes = [
        {"path": "", "mode": "container"},
        {"path": "/t", "data": "x", "mode": "ttl", "ttl_ms": 60000, "acl": ["digest:a:b=:r", "world:anyone:ra"]},
    ]
    file.write_text(json.dumps({"format": "zkserver subtree 1", "znodes": znodes}))
    assert told(port, "import", str(file), "/modes") == [f"Imported {file} to /modes: 2 created"]
    assert told(port, "getAcl", "/modes/t") == ["'digest,'a:b=", ": r", "'world,'anyone", ": ra"]


def test_hashes_that_are_not_shown_are_told_of(port: int, tmp_path: Path) -> None:
    file = str(tmp_path / "masked.json")
    run_shell(port, lines="addauth digest ann:secret\ncreate /masked x auth::cdrwa,world:anyone:r\n")
    done = run_shell(port, "export", "/masked", file)
    assert done.returncode == 0
    assert "1 ACLs have digest:user:x in the place of a hash" in done.stderr
    seen = run_shell(port, lines=f"addauth digest ann:secret\nexport -f /masked {file}\n")
    assert seen.stderr == ""


BAD_FILES = (
    ("{", "is no JSON"),
    ("[]", "is no export"),
    ('{"format": "zkserver subtree 1"}', "is damaged"),
    ('{"format": "zkserver subtree 1", "znodes": [{"path": "", "data_base64": "!"}]}', "is damaged"),
    ('{"format": "zkserver subtree 1", "znodes": [{"path": "", "acl": ["world:anyone:q"]}]}', "is damaged"),
    ('{"format": "zkserver subtree 1", "znodes": [{"path": "a"}]}', "is damaged"),
    ('{"format": "zkserver subtree 1", "znodes": [{"path": "/a/"}]}', "Path must not end with / character"),
)  # fmt: skip


def test_a_file_that_is_none_is_refused(port: int, tmp_path: Path) -> None:
    files = [tmp_path / f"bad-{number}.json" for number in range(len(BAD_FILES))]
    for file, (text, _) in zip(files, BAD_FILES, strict=True):
        file.write_text(text)
    script = "".join(f"import {file} /bad/place\n" for file in [*files, "/none"])
    done = run_shell(port, lines=script + "ls /bad\n")
    *refusals, unreadable, nothing_was_made = done.stderr.splitlines()
    for refusal, (_, words) in zip(refusals, BAD_FILES, strict=True):
        assert words in refusal
    assert unreadable == "/none cannot be read: No such file or directory"
    assert nothing_was_made == "Node does not exist: /bad"
