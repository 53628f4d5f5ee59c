"""Which part of the package may import which: ``docs/architecture.md`` says why."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from imports import ROOT, circles, imported, modules, names, outside, tree

LEAVES = {
    "carom._version",
    "carom.files.atomic",
    "carom.first_order",
    "carom.kernel_cache",
    "carom.plain",
    "carom.short_text",
}
"""Small modules that import nothing else of ours; every part may use them."""

LAYERS = {
    "carom.kernels": (
        ("core",), ("native",), ("bodies",), ("collision",), ("contact",), ("solver",), ("restitution",),
        ("raycast", ""),
    ),
    "carom.gradients": (
        ("core",), ("statistics",), ("noise",), ("estimators",),
        ("learned", "control_variates", "policy", "categorical", "diagnosis"), ("parallel",),
        ("plugins",), ("compare", "differentiable", "progress_bar", "registry", ""),
    ),
    "carom.sim": (
        ("errors", "state", "devices", "validate", "streams", "rotations", "array_file"), ("scene",), ("stepping",),
        ("derivatives", "recordings"), ("",),
    ),
    "carom.envs": (
        ("errors", "options", "from_file", "planar", "stepwise", "task"),
        ("tasks", "testbeds", "carrots", "scene"), ("registry",),
        ("control", "learned"), ("gym",), ("sb3", ""),
    ),
    "carom": (
        ("quiet", "capabilities", "rotations"), ("files",), ("render",), ("runs",), ("optimization", "training", "jax"),
        ("comparison",), ("report", "selftest"), ("api",), ("viewer",), ("commands",), ("cli", "__main__", ""),
    ),
}  # fmt: skip
"""Of each part, from below to above: a folder imports from its own group and from those before it."""

BELOW = {
    "carom.kernels": set(),
    "carom.gradients": set(),
    "carom.sim": {"carom.kernels"},
    "carom.envs": {"carom.sim", "carom.gradients"},
    "carom": {"carom.kernels", "carom.sim", "carom.gradients", "carom.envs"},
}
"""Parts from which a part may import."""


def part_of(name: str) -> str:
    return next(part for part in LAYERS if name == part or name.startswith(f"{part}."))


def level_of(name: str) -> int:
    part = part_of(name)
    folder = name.removeprefix(part).removeprefix(".").split(".")[0]
    (level,) = (i for i, group in enumerate(LAYERS[part]) if folder in group)
    return level


def test_no_imports_run_in_a_circle():
    assert circles() == []


def test_leaves_import_nothing_of_ours():
    for name in LEAVES:
        assert imported(name) <= LEAVES | {"carom"}, name


@pytest.mark.parametrize("part", LAYERS)
def test_imports_go_one_way(part):
    against = []
    for name in modules():
        if part_of(name) != part or name in LEAVES:
            continue
        for other in sorted(imported(name) - LEAVES):
            same = part_of(other) == part
            if not (level_of(other) <= level_of(name) if same else part_of(other) in BELOW[part]):
                against.append(f"{name} -> {other}")
    assert against == []


def test_comparison_draws_nothing_and_what_draws_computes_nothing():
    for name in modules():
        if name.startswith("carom.comparison"):
            assert not [m for m in imported(name) if m.startswith(("carom.report", "carom.render"))], name
        if name.startswith(("carom.report", "carom.render")):
            computing = (
                "carom.comparison.compute",
                "carom.optimization",
                "carom.training",
                "carom.gradients.estimators",
            )
            assert not [m for m in imported(name) if m.startswith(computing)], name


def types_only(name: str) -> set[str]:
    """Modules imported under ``if TYPE_CHECKING``."""
    found = set()
    for node in tree(name).body:
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            found |= {one.module for one in node.body if isinstance(one, ast.ImportFrom) and one.module}
    return found


@pytest.mark.parametrize(("library", "places"), [
    ("matplotlib", ("carom.render", "carom.report")),
    ("tyro", ("carom.commands", "carom.cli")),
    ("rich", (
        "carom.commands", "carom.cli", "carom.report", "carom.runs.progress", "carom.gradients.progress_bar",
        "carom.gradients.learned.progress",
    )),
])  # fmt: skip
def test_a_library_is_used_in_its_place(library, places):
    """Names of types and of colours aside."""
    for name in modules():
        used = {one for one in outside(name) if one.split(".")[0] == library} - types_only(name) - {"matplotlib.colors"}
        assert not used or name.startswith(places), (name, used)


def exported(name: str) -> set[str]:
    for node in tree(name).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def test_all_lists_what_other_modules_import():
    missing = [
        f"{home}.{one}, imported by {name}"
        for name in modules()
        for home, one in names(name)
        if one and home in modules() and f"{home}.{one}" not in modules() and one not in exported(home)
    ]
    assert missing == []


def test_packages_of_the_project_are_the_folders_that_have_an_init():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = text[text.index("packages = [") :].split("]")[0].split('"')[1::2]
    folders = {name: path.parent for name, path in modules().items() if path.name == "__init__.py"}
    assert sorted(listed) == sorted(folders)
    for name, folder in folders.items():
        place = Path("carom", *name.split(".")[1:])
        if folder != ROOT / place:
            assert f'"{name}" = "{folder.relative_to(ROOT).as_posix()}"' in text, name
    for name, path in modules().items():
        assert path.name == "__init__.py" or path.parent in folders.values(), f"{name} is in no package"


def test_packages_say_in_a_sentence_what_they_hold():
    for name, path in modules().items():
        if path.name == "__init__.py":
            assert ast.get_docstring(tree(name)), name


def test_the_documentation_has_a_sentence_for_every_folder():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    folders = {
        f"{path.parent.relative_to(ROOT).as_posix()}/" for path in modules().values() if path.name == "__init__.py"
    }
    inner = {"gradients/estimators/smoothing/", "gradients/estimators/boundary/", "carom/report/figures/"}
    assert folders - inner - {"carom/comparison/studies/", "carom/comparison/race/"} == listed


def test_files_that_the_documentation_names_are_there():
    missing = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for one in re.findall(
            r"`((?:kernels|sim|gradients|envs|carom|tests|examples|benchmarks|docs)/[\w/.]*)`", page.read_text()
        ):
            if not (ROOT / one).exists():
                missing.append(f"{page.name}: {one}")
    assert missing == []
