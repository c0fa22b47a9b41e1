"""What is compiled: kernels, and what they are made of.

A kernel is a function in Python's own words that is compiled when it is first called, for the types that it is called
with, and kept on disk (:mod:`.cache`). What it may say, and what that means, is in :mod:`.language` and :mod:`.values`;
:mod:`.vectors` has arithmetic for loops over vectors. The way from Python's syntax tree to LLVM's assembly is a single
pass over few kinds of values, so that compiling takes a tenth of the time that a general compiler of Python takes.

>>> import numpy as np
>>> @helper
... def squared(x):
...     return x * x
>>> @kernel
... def sum_of_squares(numbers):
...     total = 0
...     for i in range(numbers.size):
...         total += squared(numbers[i])
...     return total
>>> sum_of_squares(np.arange(4))
14
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bitsback.errors import KernelError
from bitsback.kernels import cache
from bitsback.kernels.cache import CacheWarning
from bitsback.kernels.compiled import Kernel
from bitsback.kernels.language import Helper, Routine
from bitsback.kernels.vectors import vectorised


def kernel(function: Callable[..., Any] | None = None, *, vectorise: bool = False) -> Any:
    """Make a function a :class:`Kernel`.

    With ``vectorise``, LLVM turns loops into ones over vectors where it sees a gain: worth it where they are long, or
    of a dozen steps, and harmful where they are of a few.
    """
    return partial(Kernel, vectorise=vectorise) if function is None else Kernel(function, vectorise)


def helper(function: Callable[..., Any]) -> Any:
    """Make a function a :class:`Helper`, a part of the kernels that call it."""
    return Helper(function)


def routine(function: Callable[..., Any]) -> Any:
    """Make a function a :class:`Routine`, which stands once in each kernel that calls it."""
    return Routine(function)


def folder() -> Path | None:
    """Where the compiled kernels of this set are kept: of these sources, this processor, and all versions that matter.

    None if they cannot be kept, which was said in a :class:`CacheWarning`. Others may put small files there for what
    is known of just these kernels; the folder may be removed at any time.
    """
    kept = cache.of_this_set()
    return kept.folder if kept and kept.ready() else None


__all__ = ["CacheWarning", "Helper", "Kernel", "KernelError", "folder", "helper", "kernel", "routine", "vectorised"]
