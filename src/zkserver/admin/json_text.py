"""JSON as Apache's admin server writes it, because scripts cut it apart line by line.

Two blanks a level, ` : ` between name and value, members of an object on lines of their own, the
items of an array behind each other on one line, `{ }` and `[ ]` where there is nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence


def text_of(value: object, indent: str = "") -> str:
    """`value` as text; it is made of what JSON knows, with text for names."""
    if isinstance(value, Mapping):
        if not value:
            return "{ }"
        inner = indent + "  "
        rows = [f"{inner}{_leaf(key)} : {text_of(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        if not value:
            return "[ ]"
        return "[ " + ", ".join(text_of(item, indent) for item in value) + " ]"
    return _leaf(value)


def _leaf(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
