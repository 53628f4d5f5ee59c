"""The modules of the package, and which of them imports which, read from the source with ``ast``.

Imports within functions and under TYPE_CHECKING count: a reader follows them as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("kernels", "sim", "gradients", "envs")
"""Top-level folders that become packages within ``carom``."""


@cache
def modules() -> dict[str, Path]:
    """Files by the name under which they are imported."""
    found = {}
    for top in ("carom", *PARTS):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = list(path.relative_to(ROOT).with_suffix("").parts)
            name = ".".join(parts if top == "carom" else ["carom", *parts])
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


def names(name: str) -> Iterator[tuple[str, str]]:
    """Every (module, name) that a module imports from the package; the name is empty for ``import module``."""
    parts = name.split(".")
    package = parts if modules()[name].name == "__init__.py" else parts[:-1]
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            home = ".".join([*base, *([node.module] if node.module else [])])
            if home.split(".")[0] == "carom":
                yield from ((home, one.name) for one in node.names)
        elif isinstance(node, ast.Import):
            yield from ((one.name, "") for one in node.names if one.name.split(".")[0] == "carom")


@cache
def imported(name: str) -> frozenset[str]:
    """Modules of the package that a module imports."""
    found = {f"{home}.{one}" if f"{home}.{one}" in modules() else home for home, one in names(name)}
    return frozenset(found & set(modules()) - {name})


def outside(name: str) -> set[str]:
    """Modules from elsewhere that a module imports, by their full names."""
    found = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module)
    return {one for one in found if one.split(".")[0] != "carom"}


def circles() -> list[list[str]]:
    """Groups of modules that import one another (strongly connected components, Tarjan 1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        number[name] = low[name] = len(number)
        stack.append(name)
        for other in sorted(imported(name)):
            if other not in number:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], number[other])
        if low[name] == number[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in modules():
        if name not in number:
            visit(name)
    return found
