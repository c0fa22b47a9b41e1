"""What running an integer network takes, known from its layer list alone."""

from __future__ import annotations

import math
from itertools import pairwise

from bitsback.nets.layers import NetSpec

VALUE, WEIGHT = 48, 24
"""Bytes for each value that a layer takes or gives, and for each weight, in any engine: an input, an output and what
lies between, in up to float64; the graph, its serialised form and the engine's own copies. Measured, with room."""


def working(spec: NetSpec, batch: int) -> int:
    """Bytes that an engine of the network takes, with its weights, to run ``batch`` examples at once."""
    most = max(math.prod(a) + math.prod(b) for a, b in pairwise(spec.shapes()))
    weights = sum(math.prod(shape) for layer in spec.layers if (shape := layer.weight_shape) is not None)
    return VALUE * batch * most + WEIGHT * weights
