"""What is compiled."""

from __future__ import annotations

from bitsback.kernels.compiled import Kernel as kernel
from bitsback.kernels.language import Helper as helper

__all__ = ["helper", "kernel"]
