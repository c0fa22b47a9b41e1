"""From a slot to the symbol whose interval holds it, where only intervals of symbols can be computed."""

from __future__ import annotations

from bitsback.kernels import helper

_NEWTON = 3
"""Steps that trust the slope. From a poor guess a few of them lead nowhere, so after these halve."""


@helper
def search(slot, guess, size, interval, *parameters):  # type: ignore[no-untyped-def]
    """Return ``(v, start, stop)`` of the symbol of 0 .. size - 1 whose interval holds ``slot``.

    ``interval(v, *parameters)`` is a helper that gives ``(start, stop)``; ``guess`` is where to begin.
    """
    low, high = 0, size - 1
    v = guess
    steps = 0
    while True:
        v = min(max(v, low), high)
        start, stop = interval(v, *parameters)
        if slot < start:
            high = v - 1
        elif slot >= stop:
            low = v + 1
        else:
            return v, start, stop
        v = v + (slot - start) // (stop - start) if steps < _NEWTON else (low + high) >> 1
        steps += 1
