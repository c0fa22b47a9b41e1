"""Make the tables of :mod:`bitsback.codecs.tables` and print their hashes.

Run once, when the format was fixed; kept as the record of what the numbers mean. It needs mpmath (not a dependency
of the package) and takes ten seconds::

    python -m bitsback.codecs.make_tables FOLDER

Every value is the exact real number below, rounded to the nearest integer; 60 digits leave no doubt about any.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bitsback.codecs.tables import FORMS

BETA_GRID = 32
"""Values of either parameter of the beta-binomial: ``2**((i - 12) / 2)``, i = 0..31, from 1/64 to about 724."""


def make(name: str) -> list[int]:
    """Return the values of a table, flat."""
    import mpmath as mp

    mp.mp.dps = 60

    def whole(value: Any) -> int:
        return int(mp.floor(value + mp.mpf(1) / 2))

    def two_to(power: Any) -> Any:
        return mp.power(2, power)

    if name == "logistic":  # 2**32 / (1 + exp(-u)) at u = i/64 - 16
        values: Iterable[Any] = (2**32 / (1 + mp.exp(16 - mp.mpf(i) / 64)) for i in range(2049))
        return [min(whole(value), 2**32 - 1) for value in values]
    if name == "normal":  # 2**32 Phi(u) at u = i/64 - 16
        values = (2**32 * mp.ncdf(mp.mpf(i) / 64 - 16) for i in range(2049))
        return [min(whole(value), 2**32 - 1) for value in values]
    if name == "quantiles":  # 2**20 Phi^-1(i / 8192); the ends, which are infinite, are never read: 0
        half = [whole(2**20 * mp.sqrt(2) * mp.erfinv(mp.mpf(i) / 4096)) for i in range(4096)]
        return [0, *(-value for value in reversed(half[1:])), *half, 0]
    if name == "inverse_scales":  # 64 steps x 2**20 / (16 sixteenths x 2**((s - 16) / 6)), per sixteenth of a level
        return [whole(2**22 * two_to(mp.mpf(16 - s) / 6)) for s in range(112)]
    if name == "inverse_ratios":  # 2**20 / 2**((s - 191) / 16)
        return [whole(2**20 * two_to(mp.mpf(191 - s) / 16)) for s in range(224)]
    if name == "exponentials":  # 256 x 2**(w/16)
        return [whole(2**8 * two_to(mp.mpf(w) / 16)) for w in range(256)]
    if name == "beta_binomial":
        return [freq for a in range(BETA_GRID) for b in range(a, BETA_GRID) for freq in beta_binomial(a, b)]
    raise KeyError(name)


def beta_binomial(a: int, b: int) -> list[int]:
    """Return 256 frequencies for grid indices a <= b: 1 + floor((2**24 - 256) pmf), the remainder to the mode."""
    import mpmath as mp

    mp.mp.dps = 40
    alpha, beta = (mp.power(2, mp.mpf(i - 12) / 2) for i in (a, b))
    # P(0), then P(x + 1) / P(x) = (n - x)(x + alpha) / ((x + 1)(n - x - 1 + beta)), n = 255.
    pmf = [mp.beta(alpha, 255 + beta) / mp.beta(alpha, beta)]
    for x in range(255):
        pmf.append(pmf[-1] * (255 - x) * (x + alpha) / ((x + 1) * (254 - x + beta)))
    freqs = [1 + int(mp.floor((2**24 - 256) * value)) for value in pmf]
    freqs[max(range(256), key=lambda x: pmf[x])] += 2**24 - sum(freqs)
    return freqs


def main(folder: Path) -> None:
    """Write every table to ``folder`` and print the lines that pin them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (dtype, shape) in FORMS.items():
        data = np.array(make(name), dtype).reshape(shape).tobytes()
        (folder / f"{name}.bin").write_bytes(data)
        sys.stdout.write(f'    "{name}": "{hashlib.sha256(data).hexdigest()}",\n')


if __name__ == "__main__":
    main(Path(sys.argv[1]))
