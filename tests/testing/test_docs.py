"""Every example of docs/testing.md, as the project of somebody who has read it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.testing.project import Project

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
BLOCK = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_of_the_page_pass(tmp_path: Path) -> None:
    page = PAGE.read_text()
    files = BLOCK.findall(page)
    assert len(files) == page.count("```python")
    assert len({name for name, _ in files}) == len(files)
    project = Project(tmp_path)
    for name, text in files:
        project.write(name, text)
    expected = sum(len(re.findall(r"^ *def test_", text, re.MULTILINE)) for _, text in files)
    counts, out = project.run()
    assert counts == {"passed": expected}, out


def test_the_page_has_all_options() -> None:
    from zkserver.testing.plugin import OPTIONS

    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert rows == [(name, f"zookeeper_{name}") for name in OPTIONS]
