"""What running an integer network takes, known from its layer list alone."""

from __future__ import annotations

import math
from itertools import pairwise

from bitsback.nets.layers import NetSpec

VALUE, WEIGHT = 48, 24
"""Bytes for each value that a layer takes or gives, and for each weight, in any engine: an input, an output and what
lies between, in up to float64; the graph, its serialised form and the engine's own copies. Measured, with room."""


BATCH_VALUES = 1 << 20
"""Values that a layer gives for all examples that an engine is given at once, at most, if these are several."""


def batch(spec: NetSpec) -> int:
    """How many examples an engine is given at once."""
    return max(1, BATCH_VALUES // max(map(math.prod, spec.shapes())))


def working(spec: NetSpec, batch: int) -> int:
    """Bytes that an engine of the network takes, with its weights, to run ``batch`` examples at once."""
    shapes = spec.shapes()
    most = max(math.prod(a) + math.prod(b) for a, b in pairwise(shapes))
    weights = [
        (shape, after) for layer, after in zip(spec.layers, shapes[1:], strict=True) if (shape := layer.weight_shape)
    ]
    # int8 convolutions lay out what each output position of an example sees, a byte each
    columns = max(
        (math.prod(shape[1:]) * math.prod(after[1:]) for shape, after in weights if len(shape) == 4), default=0
    )
    return VALUE * batch * most + WEIGHT * sum(math.prod(shape) for shape, _ in weights) + columns
