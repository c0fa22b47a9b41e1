import doctest
import pkgutil
from importlib import import_module

import pytest

pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

import bitsback.training

MODULES = [f"bitsback.training.{found.name}" for found in pkgutil.iter_modules(bitsback.training.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_hold(name: str) -> None:
    assert doctest.testmod(import_module(name)).failed == 0
