"""A set of digits: what their order would cost is saved, under any model.

    python examples/multiset.py             (--quick: fewer digits)

The model that ships is integer arithmetic, so the message decodes on every machine.
"""

import argparse
from math import lgamma, log

import numpy as np
from draw_digits import draw

from bitsback.codecs import Multiset, Repeat
from bitsback.codecs.testing import random_stack
from bitsback.models import Model


def main(quick):
    rng = np.random.default_rng(3)
    n = 12 if quick else 200
    x = np.stack([draw(i % 10, rng) > 127 for i in range(n)]).reshape(n, 1, 28, 28, 1).astype(np.uint8)
    digit = Model.load("digits-binary").trained.codec(1)  # of one digit, by bits back

    bits = {}
    for name, codec in (("sequence", Repeat(digit, n)), ("set", Multiset(digit, n))):
        stack = random_stack(200)
        before = stack.copy()
        codec.push(stack, list(x))
        bits[name] = stack.bits() - before.bits()
        key = (lambda a: a.tobytes()) if name == "set" else (lambda a: 0)  # a set comes out sorted
        if not np.array_equal(sorted(codec.pop(stack), key=key), sorted(x, key=key)) or stack != before:
            raise SystemExit("the digits were not restored")
        print(f"  as a {name:9} {bits[name] / n:.2f} bits a digit, all {n} digits and the initial bits restored")
    saved = (bits["sequence"] - bits["set"]) / n
    print(f"  saved     {saved:.2f} bits a digit; log2(n!) / n is {lgamma(n + 1) / log(2) / n:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
