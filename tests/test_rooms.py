"""The rooms: imports point down the list, never up, and in no circles; who is outside a kind does not ask its name."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import bitsback

ROOT = Path(bitsback.__file__).parent

ROOMS = (
    *("errors", "threads", "kernels", "ans", "codecs", "nets", "kinds", "models", "files", "data", "archive"),
    *("report", "lab", "training", "api", "integrations", "view", "cli"),
)
"""From the ground up."""

OUTSIDE = ("__init__", "__main__")
"""What only shows the rooms: it may import them all, and none imports it but for the version."""


def modules() -> dict[str, Path]:
    """All modules by name, without ``bitsback.``; a package by its own."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = path
    return found


MODULES = modules()
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def imports(tree: ast.AST, *, types: bool = True) -> Iterator[str]:
    """Modules of the package that a module imports anywhere in it; without ``types``, not what it imports for the type
    checker only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not types:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name.removeprefix("bitsback.") in MODULES else str(node.module) for name in inner]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "import_module":
            names = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        else:
            names = []
        yield from (name.removeprefix("bitsback.") for name in names if name.startswith("bitsback."))
        yield from imports(node, types=types)


@cache
def graph(*, types: bool) -> dict[str, set[str]]:
    """What each module imports. A name that is imported from a package counts as the package's."""
    found = {}
    for name, tree in TREES.items():
        found[name] = set(imports(tree, types=types)) & MODULES.keys() - {name}
    return found


def room(module: str) -> str:
    return module.split(".")[0]


def test_every_module_is_in_a_room() -> None:
    assert {room(name) for name in MODULES} - set(OUTSIDE) <= set(ROOMS)


def test_imports_point_down() -> None:
    order = {name: number for number, name in enumerate(ROOMS)}
    up = [
        f"{name} -> {other}"
        for name, others in graph(types=True).items()
        if room(name) not in OUTSIDE
        for other in others
        if room(other) not in OUTSIDE and order[room(other)] > order[room(name)]
    ]
    assert up == []


def test_there_are_no_circles() -> None:
    try:
        TopologicalSorter(graph(types=False)).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_torch_stays_in_its_rooms() -> None:
    """Nothing that compresses or decompresses imports it."""
    for name, tree in TREES.items():
        modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert room(name) in ("training", "lab") or "torch" not in {module.split(".")[0] for module in modules}, name


KINDS = sorted(path.name for path in (ROOT / "kinds").iterdir() if (path / "__init__.py").exists())


def test_nobody_asks_for_a_kinds_name() -> None:
    """``config.kind == "vae"`` and its like stand in a kind's folder, or nowhere."""
    for name, tree in TREES.items():
        for node in ast.walk(tree) if not name.startswith("kinds.") else ():
            if isinstance(node, ast.Compare) and "kind" in (text := ast.unparse(node)):
                sides = [node.left, *node.comparators]
                assert not any(isinstance(side, ast.Constant) and side.value in KINDS for side in sides), text


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_known_outside_by_its_face(kind: str) -> None:
    """What a kind is made of is imported by rooms above only where they make such models, or teach with them."""
    may = {"training", "lab"}
    users = {
        name
        for name, others in graph(types=True).items()
        if any(other.startswith(f"kinds.{kind}.") for other in others) and room(name) not in {"kinds", *may}
    }
    assert users == set()
