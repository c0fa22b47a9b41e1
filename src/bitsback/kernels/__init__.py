"""What is compiled: the two decorators of kernels, and vector arithmetic for them (:mod:`bitsback.kernels.vectors`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Any:
    """Compile ``function`` with Numba at its first call, keep the result on disk, and release the GIL while it runs."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no writable folder for the cache: compile in every process instead
        return numba.njit(nogil=True, error_model="numpy")(function)


def helper(function: Callable[..., Any]) -> Any:
    """Compile ``function`` as a part of the kernels that call it.

    The cache on disk knows a kernel by its own file: after changing a helper that other files use, delete their
    ``__pycache__``.
    """
    return numba.njit(nogil=True, error_model="numpy", inline="never", forceinline=True)(function)
