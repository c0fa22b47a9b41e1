"""What the examples share: digits to learn and to code, and the chain that codes them."""

import itertools

import numpy as np
from draw_digits import draw

from bitsback.ans import Stack
from bitsback.codecs import Repeat
from bitsback.codecs.testing import random_stack
from bitsback.errors import EmptyStackError


def digits(count, seed):
    """Drawn digits, black and white: 0 and 1, uint8 (count, 784)."""
    rng = np.random.default_rng(seed)
    return np.stack([draw(i % 10, rng) > 127 for i in range(count)]).reshape(count, -1).astype(np.uint8)


def code(codec, images, elbo, decoder=None):
    """Code all images on one stack, decode them, compare, and print the cost next to ``elbo``, -ELBO of all in bits.

    The first image needs bits on the stack to choose its latents. An empty stack has none, so random ones are put
    there: as few words as will do. They come back at the end, but until then they take room in the message.
    ``decoder``: the codec to decode with, if another than ``codec``.
    """
    chain = Repeat(codec, len(images))
    for words in itertools.count():
        stack = random_stack(words)
        try:
            chain.push(stack, images)
            break
        except EmptyStackError:
            continue
    message = stack.to_bytes()

    received = Stack.from_bytes(message)
    decoded = Repeat(decoder or codec, len(images)).pop(received)
    if not np.array_equal(decoded, images) or received != random_stack(words):
        raise SystemExit("the images were not restored")

    initial = random_stack(words).bits()
    coded = stack.bits() - initial
    print(f"  -ELBO     {elbo / images.size:.4f} bits/dim")
    print(f"  coded     {coded / images.size:.4f} bits/dim, {100 * (coded / elbo - 1):+.2f} %")
    print(f"  initial   {initial / images.size:.4f} bits/dim more for {len(images)} images ({initial:.0f} bits, once)")
    print(f"  message   {len(message):,} bytes, all {len(images)} images and the initial bits restored")
