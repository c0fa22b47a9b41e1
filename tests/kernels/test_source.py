"""Which source belongs to a function, and what its code depends on."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bitsback.kernels import KernelError, kernel
from bitsback.kernels.source import meaning, source

TEXT = """
import numpy as np
from bitsback.kernels import helper, kernel, vectorised

STEP = 2
SIZES = (1, np.uint64(3))

@helper
def inner(x):
    return x + STEP

@vectorised
def loop(v, n, x):
    def twice(y):
        return 2 * y
    with v.loop(n) as i:
        x.store(i, twice(n))

@kernel
def outer(x):
    loop(1, x)
    return inner(x[0]) + SIZES[0]
"""


def module(path: Path, text: str) -> ModuleType:
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = found
    spec.loader.exec_module(found)
    return found


EDITS = [
    ("STEP = 2", "STEP = 3"),
    ("x + STEP", "x - STEP"),
    ("uint64(3)", "uint64(4)"),
    ("2 * y", "3 * y"),
    ("SIZES[0]", "SIZES[-2]"),
    ("loop(1, x)", "loop(2, x)"),
]


@pytest.mark.parametrize(("old", "new"), EDITS)
def test_what_a_kernel_mentions_is_what_it_means(tmp_path: Path, old: str, new: str) -> None:
    assert old in TEXT
    before = meaning(module(tmp_path / "one.py", TEXT).outer)
    assert meaning(module(tmp_path / "two.py", TEXT.replace(old, new)).outer) != before
    same = "# a comment\n" + TEXT.replace("STEP = 2", "STEP = 1 + 1\nOTHER = 9")
    assert meaning(module(tmp_path / "three.py", same).outer) == before


def test_source_that_was_edited_after_python_read_it_is_not_compiled(tmp_path: Path) -> None:
    path = tmp_path / "edited.py"
    found = module(path, TEXT)
    assert source(found.outer.function).tree.name == "outer"
    path.write_text(TEXT.replace("x + STEP", "x - STEP"))
    assert source(found.outer.function).tree.name == "outer"  # was read in time
    with pytest.raises(KernelError, match=r"edited\.py has changed since Python read it"):
        source(found.inner.function)
    path.unlink()
    again = module(path, TEXT)
    path.unlink()
    with pytest.raises(KernelError, match="is missing"):
        source(again.inner.function)


def test_what_has_no_source_of_its_own_is_not_compiled() -> None:
    with pytest.raises(KernelError, match="lambda"):
        kernel(lambda x: x)(1)
    made: dict[str, object] = {}
    exec("def nowhere(x): return x", made)
    with pytest.raises(KernelError, match="is missing"):
        kernel(made["nowhere"])(1)  # type: ignore[arg-type]
