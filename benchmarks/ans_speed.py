"""Speed of the stack and of every family of codecs, on one core.

    python benchmarks/ans_speed.py [--symbols N] [--json FILE]

Prints millions of symbols a processor second, best of several runs. "table per symbol" is 64 tables of 256 symbols at
16 bits of precision; "stack only" is :meth:`Stack.push` with ready-made intervals. Pushing includes the evaluation of
parameters.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from bitsback.ans import Stack
from bitsback.codecs import (
    Bernoulli,
    BetaBinomial,
    Categorical,
    CdfTable,
    Family,
    LogisticMixture,
    PosteriorBuckets,
    Uniform,
    quantise_pmf,
)
from bitsback.codecs.testing import random_stack
from measure import least

LANES = 8
REPEATS = 7


def families(n: int, rng: np.random.Generator) -> dict[str, Family]:
    """Return codecs of n symbols with realistic parameters."""
    spread = rng.uniform(2, 60, (64, 1))
    rows = np.exp(-np.abs(np.arange(256) - rng.uniform(0, 256, (64, 1))) / spread)
    tables = CdfTable.from_freqs(quantise_pmf(rows, 16))
    ones = np.clip(np.round(65536 * rng.beta(0.1, 0.1, n)), 1, 65535)
    codecs: dict[str, Family] = {
        "table per symbol": Categorical(tables, rng.integers(0, 64, n)),
        "Uniform, 8 bits": Uniform(8, (n,)),
        "Uniform, 1000 symbols": Uniform.of_size(1000, (n,)),
        "Bernoulli": Bernoulli(ones.astype(np.uint32)),
        "BetaBinomial": BetaBinomial(rng.integers(4, 28, n), rng.integers(4, 28, n)),
        "PosteriorBuckets, 10 bits": PosteriorBuckets(rng.integers(64, 192, n), rng.integers(0, 40, n), 10),
    }
    for k in (1, 2, 3, 5):
        centre = rng.integers(200, 3900, (n, 1))
        mean = centre + rng.integers(-160, 160, (n, k))
        codecs[f"LogisticMixture, photo, K={k}"] = mixture(mean, rng.integers(16, 40, (n, k)), rng)
    spike = np.array([0, 4050, 1900])
    mean = spike + rng.integers(-30, 30, (n, 3)) * np.array([1, 1, 40])
    codecs["LogisticMixture, far modes, K=3"] = mixture(mean, np.tile([8, 10, 40], (n, 1)), rng)
    for k in (1, 2, 3):
        ink = np.repeat(rng.random((n + 15) // 16) < 0.2, 16)[:n, None]
        mean = np.where(ink, rng.integers(0, 4080, (n, k)), rng.integers(-300, 0, (n, k)))
        scale = np.where(ink, rng.integers(16, 50, (n, k)), rng.integers(8, 16, (n, k)))
        codecs[f"LogisticMixture, digits, K={k}"] = mixture(mean, scale, rng)
    return codecs


def mixture(mean: np.ndarray, scale: np.ndarray, rng: np.random.Generator) -> LogisticMixture:
    """Return the mixture of random weights."""
    return LogisticMixture(mean.astype(np.int32), scale.astype(np.uint8), rng.integers(64, 192, mean.shape))


def measure(codec: Family, n: int) -> dict[str, float]:
    """Return speeds in millions of symbols a second, and bits a symbol, on data drawn from the codec itself."""
    full = random_stack(n + 1024, LANES, seed=1)
    x = codec.pop(full.copy())
    starts, freqs = codec.intervals(x)
    stack = Stack(LANES)
    codec.push(stack, x)
    if not np.array_equal(codec.pop(stack), x) or not stack.is_initial():
        raise SystemExit("a codec did not restore its data")
    popped = [full.copy() for _ in range(REPEATS)]
    pushed = [random_stack(16, LANES) for _ in range(2 * REPEATS)]
    for stack in pushed:  # touch the memory first, as a stack in use has
        stack.push(starts, freqs, codec.precision)
        codec.pop(stack)
    return {
        "push": n / least(lambda: codec.push(pushed.pop(), x), REPEATS) / 1e6,
        "pop": n / least(lambda: codec.pop(popped.pop()), REPEATS) / 1e6,
        "stack_push": n / least(lambda: pushed.pop().push(starts, freqs, codec.precision), REPEATS) / 1e6,
        "bits": float(codec.bits(x).mean()),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--symbols", type=int, default=1 << 20)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    print(f"{LANES} lanes, {options.symbols} symbols a call; M symbols/s (ns a symbol)")
    print(f"{'family':32s} {'push':>15s} {'pop':>15s} {'stack only':>11s} {'bits':>7s}")
    results = {}
    for name, codec in families(options.symbols, np.random.default_rng(0)).items():
        r = results[name] = measure(codec, options.symbols)
        push, pop = (f"{r[key]:6.0f} ({1000 / r[key]:5.1f})" for key in ("push", "pop"))
        print(f"{name:32s} {push:>15s} {pop:>15s} {r['stack_push']:11.0f} {r['bits']:7.3f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
