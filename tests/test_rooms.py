"""Imports point down the list of rooms; nothing that compresses imports torch."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "bitsback"
ROOMS = (
    "errors", "threads", "kernels", "ans", "codecs", "nets", "kinds", "models", "files", "data", "archive",
    "integrations", "report", "lab", "training", "api", "cli",
)  # fmt: skip
FILES = sorted(SRC.rglob("*.py"))


def room_of(file: Path) -> str:
    return file.relative_to(SRC).parts[0].removesuffix(".py")


def imported(file: Path) -> Iterator[tuple[int, str]]:
    """The line and the name of each module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import"
            module = node.module or ""
            yield node.lineno, module
            if module == "bitsback":
                yield from ((node.lineno, f"bitsback.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(SRC).as_posix())
def test_imports_point_down(file: Path) -> None:
    room = room_of(file)
    if room in ("__init__", "__main__"):
        return
    assert room in ROOMS, "a new room: it needs its place in the list"
    for line, module in imported(file):
        parts = module.split(".")
        if parts[0] == "bitsback" and len(parts) > 1 and parts[1] in ROOMS:
            assert ROOMS.index(parts[1]) <= ROOMS.index(room), f"line {line} imports {module}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(SRC).as_posix())
def test_torch_stays_in_its_rooms(file: Path) -> None:
    if room_of(file) in ("training", "lab"):
        return
    assert not [line for line, module in imported(file) if module.split(".")[0] == "torch"]


def at_import(file: Path) -> Iterator[str]:
    """The modules of the package that importing a file imports at once: not those inside functions, nor for types."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module


def test_there_are_no_circles() -> None:
    modules = {f"bitsback.{'.'.join(file.relative_to(SRC).with_suffix('').parts)}": file for file in FILES}
    # A package is what its parts are reached through, not one of them
    graph = {
        name: {other for other in at_import(file) if other in modules and other != name}
        for name, file in modules.items()
        if not name.endswith("__init__")
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle: {' -> '.join([*path[path.index(name) :], name])}"
        if name not in done:
            for other in graph[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())
