"""Measure the readability of the package: loose modules, import cycles, long functions and lines.

    python tools/house.py          a table of counts
    python tools/house.py --all    and the locations behind every count that is not zero

Only the standard library is needed. tests/test_architecture.py holds the limits.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FRAGMENTS = ("Of", "What", "Whether")
COLUMNS = 100
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DOCUMENTED = (*FUNCTIONS, ast.ClassDef, ast.Module)


@dataclass(frozen=True)
class Module:
    """Python file of the package: its dotted name, path, text and syntax tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module


def read_modules(root: Path = ROOT) -> list[Module]:
    """Return the modules of the package in the folder ``root``, sorted by path."""
    found = []
    for path in sorted((root / "segkit").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found.append(Module(name, path, text, ast.parse(text)))
    return found


def imports(module: Module, names: set[str]) -> set[str]:
    """Return the modules of the package that a module imports, also in functions and for types."""
    found: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in names else node.module for name in inside}
    return (found & names) - {module.name}


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components with more than one node (Tarjan 1972).

    >>> cycles({"a": {"b"}, "b": {"a"}, "c": {"a"}})
    [['a', 'b']]
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return groups


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function's body without its docstring.

    >>> body_lines(ast.parse("def f():\\n    '''Doc.'''\\n    x = 1\\n    return x").body[0])
    2
    """
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and text of every docstring, including those under an assignment."""
    for node in ast.walk(tree):
        statements = getattr(node, "body", [])
        if not isinstance(statements, list):
            continue
        for place, statement in enumerate(statements):
            if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
                continue
            follows = place and isinstance(statements[place - 1], ast.Assign | ast.AnnAssign)
            if isinstance(statement.value.value, str) and (
                follows or (place == 0 and isinstance(node, DOCUMENTED))
            ):
                yield statement.lineno, statement.value.value.strip()


def is_fragment(text: str) -> bool:
    """Return whether a docstring begins like a sentence fragment.

    >>> is_fragment("Of one channel."), is_fragment("Official name.")
    (True, False)
    """
    return text.split(maxsplit=1)[:1] != [] and text.split(maxsplit=1)[0].rstrip(",:") in FRAGMENTS


def count(root: Path = ROOT) -> dict[str, tuple[float, list[str]]]:
    """Return for each row of the table its value and the locations behind it."""
    modules = read_modules(root)
    names = {module.name for module in modules}
    where = {module.name: module.path.relative_to(root).as_posix() for module in modules}
    contracts = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "importlinter"
    ]["contracts"]
    loops = cycles({module.name: imports(module, names) for module in modules})
    loose = sorted(path.name for path in (root / "segkit").glob("*.py"))
    functions, classes, fragments, long_lines, lines = [], [], [], [], 0
    for module in modules:
        file = where[module.name]
        for node in ast.walk(module.tree):
            if isinstance(node, FUNCTIONS):
                functions.append((body_lines(node), f"{file}:{node.lineno} {node.name}"))
            elif isinstance(node, ast.ClassDef):
                classes.append(
                    ((node.end_lineno or 0) - node.lineno + 1, f"{file}:{node.lineno} {node.name}")
                )
        fragments += [
            f"{file}:{line} {text[:60]}"
            for line, text in docstrings(module.tree)
            if is_fragment(text)
        ]
        rows = module.text.splitlines()
        lines += len(rows)
        long_lines += [
            f"{file}:{number}" for number, row in enumerate(rows, 1) if len(row) > COLUMNS
        ]
    functions.sort(reverse=True)
    classes.sort(reverse=True)
    return {
        "loose modules at the top": (len(loose), loose),
        "import floors": (len(contracts[0]["layers"]), []),
        "import cycles, deferred ones included": (len(loops), [" ".join(loop) for loop in loops]),
        "lines of the longest class": (
            classes[0][0],
            [f"{size} {place}" for size, place in classes if size > 120],
        ),
        "lines of a function's body, median": (
            statistics.median(size for size, _ in functions),
            [],
        ),
        "lines of the longest function's body": (
            functions[0][0],
            [f"{size} {place}" for size, place in functions if size > 40],
        ),
        "lines over 100 columns, %": (round(100 * len(long_lines) / lines, 2), long_lines),
        "docstrings that are fragments": (len(fragments), fragments),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="list the places behind every count")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout, to compare with")
    given = parser.parse_args()
    for name, (figure, places) in count(given.root).items():
        print(f"{name:40} {figure:g}")
        for place in places if given.all else []:
            print(f"    {place}")


if __name__ == "__main__":
    main()
