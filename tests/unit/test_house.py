"""The rules of the house, read from the source. A message says what to write instead."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "zkserver"

# Rooms from the ground up. A room imports those of earlier rows, and itself.
ROWS = (
    ("base",),
    ("jute",),
    ("tree", "election", "zab", "session"),
    ("storage",),
    ("prep",),
    ("server",),
    ("runtime",),
    ("admin", "client"),
    ("cli", "testing"),
    # The simulated world: may import all, is imported by none.
    ("sim",),
)
ROW_OF = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
ROOMS_WITH_IO = ("runtime", "admin", "client", "cli", "testing", "sim")
ROOMS_WITH_ASYNC = ("runtime", "admin", "client", "cli", "testing", "sim")

LONGEST_FUNCTION_LINES = 70
LONGEST_FILE_LINES = 500

# What may still break a rule of length. These lists may only shrink.
LONG_FUNCTIONS: tuple[str, ...] = ()
LONG_FILES: tuple[str, ...] = ()

# Where the process may end: at the one exit point, and in the forked child of a snapshot.
EXITS = ("runtime/process.py", "runtime/child.py")

THE_DISK = "the `Disk` port of storage"
INSTEAD_OF_MODULE = {
    "asyncio": "a plain call; runtime drives the room",
    "concurrent": "a plain call; runtime drives the room",
    "contextvars": "an argument",
    "fcntl": THE_DISK,
    "getpass": "an argument",
    "glob": THE_DISK,
    "io": "bytes and bytearray",
    "logging": "a return value that runtime logs",
    "mmap": THE_DISK,
    "multiprocessing": "a plain call; runtime forks",
    "os": THE_DISK,
    "pathlib": THE_DISK,
    "platform": "an argument",
    "random": "an argument",
    "secrets": "an argument",
    "select": "a plain call; runtime drives the room",
    "selectors": "a plain call; runtime drives the room",
    "shutil": THE_DISK,
    "signal": "a plain call; runtime takes signals",
    "socket": "bytes in and bytes out",
    "ssl": "bytes in and bytes out",
    "subprocess": "a plain call; runtime starts processes",
    "tempfile": THE_DISK,
    "threading": "a plain call; runtime owns the threads",
    "time": "an argument named now_ms",
    "urllib": "bytes in and bytes out",
    "uuid": "an argument",
    "uvloop": "a plain call; runtime drives the room",
}
INSTEAD_OF_CALL = {
    "open": THE_DISK,
    "input": "an argument",
    "breakpoint": "a test",
    "eval": "a function",
    "exec": "a function",
}
SIM_MAY_IMPORT = ("asyncio", "random", "logging", "contextvars", "signal")
CLOCK_METHODS = ("now", "utcnow", "today")


@dataclass(frozen=True)
class Source:
    """A module of the project: its path below src/zkserver, its room, text and tree."""

    path: str
    room: str
    text: str
    tree: ast.Module

    def at(self, node: ast.AST) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


@cache
def sources() -> tuple[Source, ...]:
    found = []
    for file in sorted(SOURCE.rglob("*.py")):
        relative = file.relative_to(SOURCE)
        room = relative.parts[0] if len(relative.parts) > 1 else ""
        text = file.read_text("utf-8")
        found.append(Source(relative.as_posix(), room, text, ast.parse(text)))
    return tuple(found)


def source_of(text: str, path: str = "tree/example.py") -> Source:
    return Source(path, path.partition("/")[0], text, ast.parse(text))


def dotted(node: ast.AST) -> str:
    """`a.b.c` as it stands, `.c` where what is before it is no name, "" for the rest."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def is_pure(source: Source) -> bool:
    return source.room in ROW_OF and source.room not in ROOMS_WITH_IO


def imported_modules(source: Source) -> Iterator[tuple[ast.AST, str]]:
    """Every module that is imported, by its full dotted name, wherever it is imported."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node, name.name
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                package = ["zkserver", *source.path.split("/")[:-1]]
                base = ".".join(package[: len(package) - node.level + 1])
                module = f"{base}.{node.module}" if node.module else base
            else:
                module = node.module or ""
            yield node, module
            for name in node.names:
                yield node, f"{module}.{name.name}"


def is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def walk_imported(tree: ast.Module) -> Iterator[ast.AST]:
    """All nodes but those under `if __name__ == "__main__"`."""
    for statement in tree.body:
        if not is_main_guard(statement):
            yield from ast.walk(statement)


def import_order(source: Source) -> Iterator[str]:
    if source.room not in ROW_OF:
        return
    for node, module in imported_modules(source):
        parts = module.split(".")
        if parts[0] != "zkserver" or len(parts) < 2 or parts[1] not in ROW_OF:
            continue
        if parts[1] != source.room and ROW_OF[parts[1]] >= ROW_OF[source.room]:
            yield (
                f"{source.at(node)}: {source.room} may not import {module}: "
                f"hand it in as an argument, or move it to a room above {source.room}"
            )


def io_in_pure_rooms(source: Source) -> Iterator[str]:
    if not is_pure(source):
        return
    for node, module in imported_modules(source):
        top = module.split(".")[0]
        if top in INSTEAD_OF_MODULE and (isinstance(node, ast.Import) or "." not in module):
            yield f"{source.at(node)}: no {top} in {source.room}: use {INSTEAD_OF_MODULE[top]}"
    for node in walk_imported(source.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await):
            yield f"{source.at(node)}: no async in {source.room}: use a plain function"
        if not isinstance(node, ast.Call):
            continue
        called = dotted(node.func)
        if called in INSTEAD_OF_CALL:
            yield f"{source.at(node)}: no {called}(): use {INSTEAD_OF_CALL[called]}"
        if called == "print":
            yield f"{source.at(node)}: no print() in {source.room}: return the text"
        if called.startswith(("datetime.", "date.")) and called.endswith(CLOCK_METHODS):
            yield f"{source.at(node)}: no clock in {source.room}: use an argument named now_ms"


def async_outside_runtime(source: Source) -> Iterator[str]:
    if source.room in ROOMS_WITH_ASYNC:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.AsyncFunctionDef):
            yield f"{source.at(node)}: async def {node.name} belongs into runtime"


def makes_set(node: ast.expr, names: dict[str, bool] | None = None) -> bool:
    """Whether an expression is plainly a set: a literal, a name in `names`, set(), a union."""
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Name | ast.Attribute):
        return dotted(node).rpartition(".")[2] in (names or {})
    if isinstance(node, ast.Call):
        return dotted(node.func) in ("set", "frozenset")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub):
        return makes_set(node.left, names) or makes_set(node.right, names)
    return False


def is_set_annotation(node: ast.expr | None) -> bool:
    return node is not None and ast.unparse(node).partition("[")[0] in ("set", "frozenset")


def set_names(tree: ast.Module) -> dict[str, bool]:
    """Names and attributes (without their object) that an assignment or annotation makes sets.

    A name that is a set in one place and something else in another does not count.
    """
    kinds: dict[str, bool] = {}

    def note(target: ast.expr | str, is_set: bool) -> None:
        name = target if isinstance(target, str) else dotted(target).rpartition(".")[2]
        kinds[name] = kinds.get(name, True) and is_set

    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                note(target, makes_set(node.value))
        elif isinstance(node, ast.AnnAssign):
            note(node.target, is_set_annotation(node.annotation))
        elif isinstance(node, ast.arg):
            note(node.arg, is_set_annotation(node.annotation))
        elif isinstance(node, ast.For | ast.comprehension):
            note(node.target, False)
    return {name: True for name, is_set in kinds.items() if is_set}


ORDER_FREE = ("sorted", "set", "frozenset", "any", "all", "sum", "min", "max", "len")


def order_free(tree: ast.Module) -> set[ast.AST]:
    """Comprehensions and starred values whose result does not depend on their order."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.SetComp):
            found.update(node.generators)
        elif isinstance(node, ast.Set):
            found.update(node.elts)
        elif isinstance(node, ast.Call) and dotted(node.func) in ORDER_FREE:
            for argument in node.args:
                if isinstance(argument, ast.GeneratorExp | ast.ListComp):
                    found.update(argument.generators)
                elif isinstance(argument, ast.Tuple | ast.List):
                    found.update(argument.elts)
    return found


def iterated(node: ast.AST) -> Iterator[ast.expr]:
    """What a node goes over in order, as far as the syntax tells."""
    if isinstance(node, ast.For | ast.comprehension):
        yield node.iter
    elif isinstance(node, ast.Starred):
        yield node.value
    elif isinstance(node, ast.Call) and node.args:
        function = dotted(node.func)
        if function in ("list", "tuple", "iter", "next", "enumerate", "map", "zip"):
            yield from node.args
        elif function.endswith((".join", ".extend")):
            yield node.args[0]


def real_world_in_sim(source: Source) -> Iterator[str]:
    """The simulated world has asyncio and seeded chance, and nothing else of the machine's."""
    if source.room != "sim":
        return
    for node, module in imported_modules(source):
        top = module.split(".")[0]
        if top in INSTEAD_OF_MODULE and top not in SIM_MAY_IMPORT and not is_command(source):
            yield f"{source.at(node)}: no {top} in sim: use what the world simulates of it"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and re.match(r"random\.(?!Random$)", dotted(node.func)):
            yield f"{source.at(node)}: chance comes from the run's seed: use random.Random"


def is_command(source: Source) -> bool:
    return source.path.endswith("__main__.py")


def set_iteration(source: Source) -> Iterator[str]:
    if not is_pure(source) and source.room != "sim":
        return
    names = set_names(source.tree)
    free = order_free(source.tree)
    for node in ast.walk(source.tree):
        if node in free:
            continue
        for expression in iterated(node):
            if makes_set(expression, names):
                yield (
                    f"{source.at(expression)}: the order of a set changes from run to run: "
                    f"iterate sorted(…), or keep a dict"
                )


def function_length(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        name = f"{source.path}:{node.name}"
        if lines > LONGEST_FUNCTION_LINES and name not in LONG_FUNCTIONS:
            yield (
                f"{source.at(node)}: {node.name} has {lines} lines: "
                f"cut it into steps of at most {LONGEST_FUNCTION_LINES}"
            )


def file_length(source: Source) -> Iterator[str]:
    lines = len(source.text.splitlines())
    if lines > LONGEST_FILE_LINES and source.path not in LONG_FILES:
        yield (
            f"{source.path}: {lines} lines: split it by subject, "
            f"{LONGEST_FILE_LINES} is the most"
        )


def unfinished(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), 1):
        mark = re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line)
        if mark:
            yield f"{source.path}:{number}: no {mark[0]}: do it now or write an issue"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name) and node.id == "NotImplementedError":
            yield f"{source.at(node)}: no stubs: write it, or use a Protocol for an interface"


def missing_docstrings(source: Source) -> Iterator[str]:
    if not ast.get_docstring(source.tree):
        yield f"{source.path}:1: the module needs a docstring: what it is, what it keeps true"
    yield from _missing_docstrings(source, source.tree)


def _missing_docstrings(source: Source, parent: ast.Module | ast.ClassDef) -> Iterator[str]:
    for node in parent.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            yield (
                f"{source.at(node)}: {node.name} is public: "
                f"say in a docstring what it takes and gives, or put _ before its name"
            )
        # The docstring of a Protocol speaks for its members, which have no body.
        if isinstance(node, ast.ClassDef) and "Protocol" not in map(dotted, node.bases):
            yield from _missing_docstrings(source, node)


def process_exits(source: Source) -> Iterator[str]:
    if source.path in EXITS or source.room == "cli":
        return
    for node in walk_imported(source.tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
        elif isinstance(node, ast.Raise) and node.exc is not None:
            name = ast.unparse(node.exc).partition("(")[0]
        else:
            continue
        if name in ("sys.exit", "os._exit", "os.abort", "exit", "quit", "SystemExit"):
            yield f"{source.at(node)}: no {name} here: raise FatalError, runtime.main ends"


def broad_handlers(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = "" if node.type is None else ast.unparse(node.type)
        if not caught or re.search(r"\b(Base)?Exception\b", caught):
            yield f"{source.at(node)}: catch the errors that can come here by name"


def bare_asserts(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assert):
            yield f"{source.at(node)}: python -O drops assert: raise FatalError"


RULES = (
    import_order,
    io_in_pure_rooms,
    async_outside_runtime,
    real_world_in_sim,
    set_iteration,
    function_length,
    file_length,
    unfinished,
    missing_docstrings,
    process_exits,
    broad_handlers,
    bare_asserts,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps(rule) -> None:
    broken = [line for source in sources() for line in rule(source)]
    assert not broken, "\n" + "\n".join(broken)


def test_every_room_is_in_the_table_and_has_a_lecture() -> None:
    folders = sorted(p.name for p in SOURCE.iterdir() if p.is_dir() and p.name != "__pycache__")
    assert [name for name in folders if name not in ROW_OF] == []
    for room in folders:
        lecture = SOURCE / room / "__init__.py"
        assert lecture.is_file(), f"{room} needs an __init__.py with a docstring"


def test_allow_lists_name_only_what_needs_them() -> None:
    long_functions = [
        f"{source.path}:{node.name}"
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION_LINES
    ]
    long_files = [s.path for s in sources() if len(s.text.splitlines()) > LONGEST_FILE_LINES]
    assert [name for name in LONG_FUNCTIONS if name not in long_functions] == []
    assert [name for name in LONG_FILES if name not in long_files] == []


LONG_FUNCTION = "def f():\n" + "    x = 1\n" * LONGEST_FUNCTION_LINES

BROKEN = (
    (import_order, "from zkserver.server import x", "server"),
    (import_order, "import zkserver.session.tracker", "session"),
    (import_order, "from zkserver import storage", "storage"),
    (import_order, "from ..prep import x", "prep"),
    (import_order, "def f():\n    from zkserver.runtime import x", "runtime"),
    (io_in_pure_rooms, "import os.path", "no os in tree"),
    (io_in_pure_rooms, "from time import monotonic", "now_ms"),
    (io_in_pure_rooms, "def f():\n    import threading", "threads"),
    (io_in_pure_rooms, "x = open('y')", "Disk"),
    (io_in_pure_rooms, "print('y')", "return the text"),
    (io_in_pure_rooms, "x = datetime.now()", "now_ms"),
    (io_in_pure_rooms, "async def f(): pass", "plain function"),
    (async_outside_runtime, "async def f(): pass", "runtime"),
    (real_world_in_sim, "import time", "simulates"),
    (real_world_in_sim, "import random\nx = random.random()", "seed"),
    (set_iteration, "for x in {1, 2}: pass", "sorted"),
    (set_iteration, "y = [x for x in set(z)]", "sorted"),
    (set_iteration, "y = set()\nfor x in y: pass", "sorted"),
    (set_iteration, "class A:\n y: set[int]\n def f(self):\n  return list(self.y)", "sorted"),
    (set_iteration, "def f(y: set[int]): return ','.join(y | z)", "sorted"),
    (function_length, LONG_FUNCTION, "71 lines"),
    (file_length, "x = 1\n" * (LONGEST_FILE_LINES + 1), "split"),
    (unfinished, "x = 1  # TODO: y", "issue"),
    (unfinished, "def f(): raise NotImplementedError", "stubs"),
    (missing_docstrings, '"""A."""\ndef f(): pass', "f is public"),
    (missing_docstrings, '"""A."""\nclass A:\n  """A."""\n  def g(self): pass', "g is public"),
    (process_exits, "import sys\nsys.exit(1)", "FatalError"),
    (process_exits, "raise SystemExit(1)", "FatalError"),
    (broad_handlers, "try: pass\nexcept Exception: pass", "by name"),
    (broad_handlers, "try: pass\nexcept (OSError, BaseException): pass", "by name"),
    (bare_asserts, "assert x", "FatalError"),
)


@pytest.mark.parametrize(("rule", "text", "advice"), BROKEN)
def test_a_rule_sees_what_breaks_it(rule, text: str, advice: str) -> None:
    path = "sim/example.py" if rule is real_world_in_sim else "tree/example.py"
    broken = list(rule(source_of(text, path)))
    assert broken, f"{rule.__name__} does not see: {text}"
    assert advice in broken[0]


KEPT = (
    (import_order, "from zkserver.tree import x\nfrom zkserver.jute import codec"),
    (import_order, "from . import znode\nfrom zkserver import __version__"),
    (io_in_pure_rooms, "import zlib\nfrom dataclasses import dataclass"),
    (io_in_pure_rooms, "if __name__ == '__main__':\n    print('page')"),
    (set_iteration, "y = set()\nx = 1 in y\nfor z in sorted(y): pass"),
    (set_iteration, "y = {}\nfor x in y: pass"),
    (set_iteration, "y = set()\nx = {z for z in y}\nx = sorted(z for z in y)"),
    (set_iteration, "y = set()\nx = frozenset((*y, 3))\nx = {*y, 3}"),
    (function_length, LONG_FUNCTION.removesuffix("    x = 1\n")),
    (missing_docstrings, '"""A."""\ndef _f(): pass'),
    (missing_docstrings, '"""A."""\nclass P(Protocol):\n  """P."""\n  def f(self): ...'),
    (broad_handlers, "try: pass\nexcept OSError: pass"),
)


@pytest.mark.parametrize(("rule", "text"), KEPT)
def test_a_rule_lets_pass_what_keeps_it(rule, text: str) -> None:
    assert list(rule(source_of(text))) == []
