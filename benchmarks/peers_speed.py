"""Speed of the families of distributions beside constriction's and craystack's, in one run, on one core.

    python benchmarks/peers_speed.py [--symbols N] [--craystack FOLDER] [--out FILE]

Each takes the parameters as a model in floating point gives them, and they are not known beforehand: what is timed is
from float parameters and symbols to a message, and back. constriction has no mixtures; its docs lead to a matrix of
probabilities, made with NumPy, which counts. craystack is not on PyPI: FOLDER is a checkout of
https://github.com/j-towns/craystack (with autograd and scipy installed); it codes with as many lanes as there are
symbols, here 2,000. Best of several runs; everything is decoded and compared.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import constriction as peer
import numpy as np

import measure
from bitsback.ans import Stack
from bitsback.codecs import Bernoulli, Categorical, CdfTable, Family, Gaussian, LogisticMixture, quantise_pmf
from measure import least

AnsCoder, models = peer.stream.stack.AnsCoder, peer.stream.model

REPEATS = 5
LANES = 8
COMPONENTS = 5


class Case(NamedTuple):
    """Symbols and who codes them: what makes a codec of ours, constriction's coding, craystack's codec."""

    x: np.ndarray
    ours: Callable[[], Family]
    encode: Callable[[Any, np.ndarray], None]
    decode: Callable[[Any], np.ndarray]
    theirs: Callable[[Any], Any]


def logistic(t: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(t, -40, 40)))


def matrix(mean: np.ndarray, scale: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Probabilities (n, 256) of mixtures of logistic distributions (n, K)."""
    edges = np.arange(1, 256) - 0.5
    cdf = np.zeros((len(mean), 257))
    for m, s, w in zip(mean.T, scale.T, weight.T, strict=True):
        cdf[:, 1:-1] += w[:, None] * logistic((edges - m[:, None]) / s[:, None])
    cdf[:, -1] = weight.sum(1)
    return np.maximum(np.diff(cdf, axis=1), 1e-9)


def cases(n: int, few: int) -> dict[str, Case]:
    """The five, n symbols each, or where there is a row of probabilities for each symbol, ``few``."""
    rng = np.random.default_rng(0)

    p = rng.beta(0.3, 0.3, n).clip(0.001, 0.999)
    bits = (rng.random(n) < p).astype(np.int32)
    bernoulli = models.Bernoulli(perfect=False)

    row = np.exp(-np.abs(np.arange(256) - 100) / 20)
    row /= row.sum()
    shared = rng.choice(256, n, p=row).astype(np.int32)
    fixed = models.Categorical(row, perfect=False)

    rows = rng.random((few, 256)) ** 8
    rows /= rows.sum(1, keepdims=True)
    own = (rows.cumsum(1) < rng.random((few, 1))).sum(1).clip(0, 255).astype(np.int32)
    categorical = models.Categorical(perfect=False)

    mean, std = rng.uniform(0, 255, n), np.exp(rng.uniform(0, 3, n))
    normal = np.clip(np.rint(mean + std * rng.normal(size=n)), 0, 255).astype(np.int32)
    gaussian = models.QuantizedGaussian(0, 255)

    means, scales = rng.uniform(60, 200, (few, COMPONENTS)), np.exp(rng.uniform(0, 3, (few, COMPONENTS)))
    weights = rng.dirichlet(np.ones(COMPONENTS), few)
    k = (weights.cumsum(1) < rng.random((few, 1))).sum(1).clip(0, COMPONENTS - 1)
    mixed = means[np.arange(few), k] + scales[np.arange(few), k] * rng.logistic(size=few)
    mixed = np.clip(np.rint(mixed), 0, 255).astype(np.int32)

    return {
        "Bernoulli": Case(
            bits,
            lambda: Bernoulli.from_floats(p),
            lambda coder, x: coder.encode_reverse(x, bernoulli, p),
            lambda coder: coder.decode(bernoulli, p),
            lambda cs: cs.Bernoulli(p, 16),
        ),
        "categorical, one for all": Case(
            shared,
            lambda: Categorical(CdfTable.from_freqs(quantise_pmf(row[None], 16)), np.zeros(n, np.uint32)),
            lambda coder, x: coder.encode_reverse(x, fixed),
            lambda coder: coder.decode(fixed, n),
            lambda cs: cs.Categorical(np.broadcast_to(row, (n, 256)), 16),
        ),
        "categorical, one for each": Case(
            own,
            lambda: Categorical.from_floats(rows),
            lambda coder, x: coder.encode_reverse(x, categorical, rows),
            lambda coder: coder.decode(categorical, rows),
            lambda cs: cs.Categorical(rows, 16),
        ),
        "Gaussian": Case(
            normal,
            lambda: Gaussian.from_floats(mean, std),
            lambda coder, x: coder.encode_reverse(x, gaussian, mean, std),
            lambda coder: coder.decode(gaussian, mean, std),
            lambda cs: cs.DiagGaussian_UnifBins(mean, std, -0.5, 255.5, 24, 257),
        ),
        "logistic mixture, K = 5": Case(
            mixed,
            lambda: LogisticMixture.from_floats(means, scales, weights),
            lambda coder, x: coder.encode_reverse(x, categorical, matrix(means, scales, weights)),
            lambda coder: coder.decode(categorical, matrix(means, scales, weights)),
            lambda cs: cs.LogisticMixture_UnifBins(means, np.log(scales), np.log(weights), 24, 8, -0.5, 255.5),
        ),
    }


def bitsback(case: Case) -> tuple[float, float, float]:
    """M symbols a CPU second, pushed and popped, and bits a symbol."""
    full = Stack(LANES)
    case.ours().push(full, case.x)
    stack = full.copy()
    if not np.array_equal(case.ours().pop(stack), case.x) or not stack.is_initial():
        raise SystemExit("bitsback did not give the same symbols")
    n = case.x.size / 1e6
    push, pop = (
        least(lambda: case.ours().push(Stack(LANES), case.x), REPEATS),
        least(lambda: case.ours().pop(full.copy()), REPEATS),
    )
    return n / push, n / pop, full.bits() / case.x.size


def constriction(case: Case) -> tuple[float, float, float]:
    """The same."""
    full = AnsCoder()
    case.encode(full, case.x)
    if not np.array_equal(case.decode(full.clone()), case.x):
        raise SystemExit("constriction did not give the same symbols")
    n = case.x.size / 1e6
    encode, decode = (
        least(lambda: case.encode(AnsCoder(), case.x), REPEATS),
        least(lambda: case.decode(full.clone()), REPEATS),
    )
    return n / encode, n / decode, full.num_bits() / case.x.size


def craystack(case: Case, cs: Any) -> tuple[float, float, float]:
    """The same; a lane for each symbol, so that its first bits are not counted."""
    start = cs.base_message(case.x.shape, randomize=True)
    (full,) = case.theirs(cs).push(start, case.x.astype(np.uint64))
    if not np.array_equal(case.theirs(cs).pop(full)[1], case.x):
        raise SystemExit("craystack did not give the same symbols")
    n = case.x.size / 1e6
    push = least(lambda: case.theirs(cs).push(start, case.x.astype(np.uint64)), REPEATS)
    pop = least(lambda: case.theirs(cs).pop(full), REPEATS)
    words = sum(map(len, tails(full[1])))
    bits = 32 * words + np.log2(full[0].astype(float)).sum() - np.log2(start[0].astype(float)).sum()
    return n / push, n / pop, bits / case.x.size


def tails(tail: Any) -> list[np.ndarray]:
    """The arrays of a tail of craystack's, which are nested."""
    found = []
    while tail:
        array, tail = tail
        found.append(array)
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--symbols", type=int, default=200_000, help="a tenth of them where each has probabilities")
    parser.add_argument("--craystack", type=Path, help="a checkout of craystack")
    parser.add_argument("--out", type=Path, default=measure.RESULTS / "peers_speed.json", help="JSON file to write")
    options = parser.parse_args()
    about = measure.machine()
    print(f"{measure.line(about)}\n", flush=True)
    coders: dict[str, Callable[[Case], tuple[float, float, float]]] = {
        "bitsback": bitsback,
        "constriction": constriction,
    }
    if options.craystack:
        sys.path.insert(0, str(options.craystack))
        import craystack as cs

        coders["craystack"] = lambda case: craystack(case, cs)
    every = cases(options.symbols, options.symbols // 10)
    small = cases(options.symbols // 100, options.symbols // 100)  # what takes craystack seconds enough
    results: dict[str, Any] = {"machine": about, "lanes": LANES, "families": {}}
    rows = []
    for name, case in every.items():
        found = {coder: measured(small[name] if coder == "craystack" else case) for coder, measured in coders.items()}
        results["families"][name] = {
            coder: dict(zip(("push", "pop", "bits"), values, strict=True)) for coder, values in found.items()
        }
        rows.append([name, *(f"{values[i]:.2f}" for i in (0, 1) for values in found.values())])
        print(name, {coder: [round(value, 3) for value in values] for coder, values in found.items()}, flush=True)
    print(measure.table(["M symbols/s", *(f"{coder}, {way}" for way in ("push", "pop") for coder in coders)], rows))
    measure.write(options.out, results)


if __name__ == "__main__":
    main()
