"""Every example of docs/client.md is run as it stands, against a server."""

from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path
from types import CodeType

import pytest

import zkserver.client
from zkserver.client import Client

PAGE = Path(__file__).resolve().parents[2] / "docs" / "client.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def compiled(text: str, hosts: str) -> CodeType:
    source = text.replace("127.0.0.1:2181", hosts)
    return compile(source, str(PAGE), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example(text: str, own: str) -> None:
    code = compiled(text, own)
    names = {name: getattr(zkserver.client, name) for name in zkserver.client.__all__}
    if "asyncio.run(" in text or "SyncClient(" in text:
        exec(code, {})
        return

    async def inside() -> None:
        async with Client(own) as client:
            waits = eval(code, {**names, "asyncio": asyncio, "client": client})
            if waits is not None:
                await waits

    asyncio.run(asyncio.wait_for(inside(), 15))


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) > 10
