"""Every code block of the README and the docs runs.

A page is one program: its ``python`` blocks run in order in one namespace, its ``sh`` blocks in order in one folder.
The folder holds what the pages speak of, and nothing else. ``bitsback`` there is that of the running interpreter,
except that training takes four steps instead of minutes. ``pip install`` lines are not run: they must name this
package, with extras that exist, or torch. A block that cannot run stands below a comment that says so,
``<!-- not run: why -->``; they are counted here. Blocks in other languages (text, bibtex, json) are no code; one
without a language is an error, so that none is forgotten.
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitsback.models.search import ZOO

ROOT = Path(__file__).parents[2]
runs = pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="run with the extra docs, as in CI")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\S*)[^\n]*\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*$")
CODE = {"python", "sh"}
ANY_FENCE = re.compile(r"^ *(```|~~~)", re.MULTILINE)
NO_CODE = {"text", "bibtex", "json"}
EXEMPT = {"README.md": 1, "CONTRIBUTING.md": 2, "docs/models.md": 1, "docs/lab/paper.md": 1,
          "docs/guides/integrations.md": 6}  # fmt: skip
"""How many blocks of a page are not run; of the others, none."""

QUICK = "--steps 4 --size small --init none --kind context"
PROGRAMS = {
    "python": 'exec "{python}" "$@"',
    "bitsback": '[ "$1" = train ] && set -- "$@" {quick}\nexec "{python}" -m bitsback "$@"',
    "torchrun": 'exec "{python}" -m torch.distributed.run "$@" {quick}',
}


@dataclass
class Block:
    line: int
    language: str
    code: str
    exempt: bool


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = []
    for match in FENCE.finditer(text):
        indent = match["indent"]
        code = "\n".join(line.removeprefix(indent) for line in match["code"].split("\n"))
        line = text[: match.start()].count("\n") + 2
        found.append(Block(line, match["language"], code, bool(NOT_RUN.search(text[: match.start()]))))
    return found


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def needs_torch(code: str) -> bool:
    return (
        re.search(r"\btorch|bitsback\.training|bitsback train|torchrun|examples/\w+_|lab paper|docs/lab/\w+\.py", code)
        is not None
    )


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    """A folder with a collection of small grey scans, one of small photos, and the programs in its ``bin``."""
    place = tmp_path / "work"
    (place / "scans").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(130):
        scan = (128 + np.cumsum(rng.integers(-3, 4, (28, 28)), i % 2)).clip(0, 255).astype(np.uint8)
        Image.fromarray(scan).save(place / "scans" / f"{i:03d}.png")
    (place / "photos").mkdir()
    for i in range(20):
        photo = (128 + np.cumsum(rng.integers(-9, 10, (48, 64, 3)), i % 2)).clip(0, 255).astype(np.uint8)
        Image.fromarray(photo).save(place / "photos" / f"{i:03d}.jpg")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in PROGRAMS.items():
        (programs / name).write_text("#!/bin/sh\n" + text.format(python=sys.executable, quick=QUICK))
        (programs / name).chmod(0o755)
    (place / "more").mkdir()
    (place / "more" / "notes.txt").write_text("added later")
    shutil.copy(ZOO / "photos-grey.bbm", place / "mine.bbm")
    (place / "examples").symlink_to(ROOT / "examples")
    (place / "docs" / "lab").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "lab" / "plain-vae.bbm", place / "docs" / "lab")
    return place


def environment(sandbox: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{sandbox.parent / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_DATA_HOME": str(sandbox.parent / "data"),
        "BITSBACK_ROOT": str(ROOT),
        "TMPDIR": str(sandbox.parent),
    }


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_are_of_a_known_kind(page: Path) -> None:
    found = blocks(page)
    assert len(ANY_FENCE.findall(page.read_text())) == 2 * len(found), "a fence that is no block's"
    assert {block.language for block in found} <= CODE | NO_CODE
    assert sum(block.exempt for block in found) == EXEMPT.get(name_of(page), 0)


def with_blocks(language: str) -> list[Path]:
    return [page for page in PAGES if any(b.language == language and not b.exempt for b in blocks(page))]


@runs
@pytest.mark.parametrize("page", with_blocks("python"), ids=name_of)
def test_python_blocks_run(page: Path, sandbox: Path) -> None:
    code = [block for block in blocks(page) if block.language == "python" and not block.exempt]
    if any(needs_torch(block.code) for block in code) and importlib.util.find_spec("torch") is None:
        pytest.skip("its blocks need torch")
    # Each block on the lines that it has on the page, so that an error tells where
    program = ""
    for block in code:
        program += "\n" * (block.line - 1 - program.count("\n")) + block.code
    file = sandbox / f"{page.stem}.py"
    file.write_text(program)
    done = subprocess.run([sys.executable, file], cwd=sandbox, env=environment(sandbox), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def without_installs(line: str) -> str:
    """What is left of a line after its ``pip install`` commands, which must name this package or torch alone."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    kept = []
    for command in line.split(" && "):
        words = shlex.split(command, comments=True)
        if words[:2] != ["pip", "install"]:
            kept.append(command)
            continue
        wanted = [word for before, word in pairwise(words[1:]) if not word.startswith("-") and before != "--index-url"]
        assert wanted, command
        for requirement in wanted:
            named = re.fullmatch(r"(torch)|(?:bitsback|\.)(?:\[([\w,]+)\])?", requirement)
            assert named, command
            assert set((named[2] or "").split(",")) - {""} <= set(extras), command
    return " && ".join(kept)


@pytest.mark.parametrize(
    "line",
    ["pip install leftpad .", "pip install -q . && pip install leftpad", 'pip install ".[nothing]"', "pip install"],
)
def test_installs_of_anything_else_are_refused(line: str) -> None:
    with pytest.raises(AssertionError):
        without_installs(line)


@runs
@pytest.mark.parametrize("page", with_blocks("sh"), ids=name_of)
def test_shell_blocks_run(page: Path, sandbox: Path) -> None:
    code = [block for block in blocks(page) if block.language == "sh" and not block.exempt]
    torch = importlib.util.find_spec("torch") is not None
    for block in code:
        command = "\n".join(without_installs(line) for line in block.code.splitlines()).strip()
        if needs_torch(command) and not torch:  # later blocks go on from what this one leaves
            pytest.skip(f"the block of line {block.line} needs torch; those before it ran")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=sandbox, env=environment(sandbox), capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"line {block.line}: {done.stderr}\n{done.stdout}"
