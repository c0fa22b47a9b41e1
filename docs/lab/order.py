"""What does an order cost? Digits as a sequence and as a set, under one model.

python docs/lab/order.py            (--quick: a smaller run, which writes nothing)
"""

from math import lgamma, log

import matplotlib.pyplot as plt
import numpy as np
from page import BLACK, BLUE, WIDTH, arguments, digits, table, write

from bitsback.codecs import Multiset, Repeat
from bitsback.codecs.testing import random_stack
from bitsback.models import Model

WORDS = 12
"""Random words to begin with: what the first digit borrows."""


def cost(codec, images):
    """Bits that the images add to a stack, decoded; and the images as they came out."""
    stack = random_stack(WORDS)
    codec.push(stack, images)
    bits = stack.bits()
    decoded = codec.pop(stack)
    assert stack == random_stack(WORDS)
    return bits - stack.bits(), decoded


def main(mode):
    quick = mode == "quick"
    model = Model.load("digits-binary")
    codec = model.trained.codec(1)  # bits back inside, and the order as one more latent outside
    images = [image[None, ..., None] for image in digits(20 if quick else 500, seed=7)]
    assert len({image.tobytes() for image in images}) == len(images)

    rows, points = [], []
    for n in (5, 20) if quick else (1, 10, 50, 200, 500):
        sequence, decoded = cost(Repeat(codec, n), images[:n])
        assert np.array_equal(decoded, images[:n])
        members, decoded = cost(Multiset(codec, n), images[:n])
        assert np.array_equal(decoded, sorted(images[:n], key=lambda image: image.tobytes()))
        order = lgamma(n + 1) / log(2)
        points.append((n, sequence / n, members / n, order / n))
        saved = sequence - members
        cells = (sequence / n, members / n, saved / n, order / n)
        rows.append([f"{n}", *(f"{cell:.2f}" for cell in cells), f"{100 * saved / sequence:.1f} %"])

    n, sequence, members, _ = np.array(points).T
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2))
    every = np.arange(1, int(n[-1]) + 1)
    axis.semilogx(every, np.cumsum(np.log2(every)) / every, ls="--", lw=1.2, color=BLACK, label="log2(n!) / n")
    axis.semilogx(n, sequence - members, "o", color=BLUE, label="measured: sequence less set")
    axis.set(xlabel="n, the number of digits", ylabel="bits a digit saved")
    axis.legend()

    head = ["digits", "as a sequence, bits a digit", "as a set", "saved", "log2(n!) / n", "saved, of the whole"]
    text = (
        "Initial bits are not counted: they come back. Both were decoded and compared, the set with the sorted digits."
    )
    write("order", f"{table(head, rows)}\n\n{text}", {"order": figure}, mode, 0)


if __name__ == "__main__":
    main(arguments())
