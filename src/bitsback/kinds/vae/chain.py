"""Chaining: many images on one stack, at a rate close to the ELBO from the very first ones.

Bits-back coding borrows bits from the stack to choose latents and must find them there. A stack starts empty, and
bits are never invented, so the images of a chunk are coded in steps that grow with it:

1. *primed* steps: one image each, in two parts (no bits borrowed), until the stack can lend what an image needs;
2. then groups of 1, 2, 4, ... up to ``GROUP`` images side by side, each as large as the stack can carry.

Groups are what makes coding fast (one network evaluation and one vectorised push serve a whole group) and this
schedule is why they cost nothing on small inputs, where a fixed number of parallel chains would each have to be
started. Images are coded last to first, so that they are decoded first to last.

A payload is: log2 of the number of lanes, log2 of the largest group and the primer's bits (one byte each); the
number of runs in the schedule (one byte) and the runs, a byte for the kind of step (log2 of its size, or 255 for a
primed one) and a byte for how often; then the stack. Images left by the runs form groups of the largest size and a
last, smaller one.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Stack
from bitsback.errors import EmptyStackError, FormatError, LimitError, TruncatedError
from bitsback.kinds.vae.distributions import VAE, Images

GROUP_LOG2 = 6
MAX_GROUP_LOG2 = 12
LANES_LOG2 = 3
MAX_LANES_LOG2 = 8
MAX_GROUP_VALUES = 1 << (GROUP_LOG2 + 20)
"""The most values that a layer may give for a group: 64 images of the largest model."""
MANY_SAMPLES = 1 << 17
"""From so many samples on, a chunk has eight lanes: 4 bytes of overhead each, and a faster coder."""

PRIMED = 255
MAX_RUNS = 255
PRIMER_BITS = (1, 2, 3, 4, 5, 6)


def encode(vae: VAE, images: Images) -> bytes:
    """Code uint8 (n, height, width, channels), n >= 1, into a payload that :func:`decode` takes back.

    The bytes depend on the model and the images only.
    """
    lanes_log2 = LANES_LOG2 if images.size >= MANY_SAMPLES else 0
    stack = Stack(1 << lanes_log2)
    primer_bits = _cheapest_primer(vae, images[-1:])
    steps: list[int] = []
    left = len(images)
    level = -1
    while left:
        for attempt in range(min(level + 1, GROUP_LOG2), -1, -1):
            size = 1 << attempt
            # In full swing the remainder is one smaller group
            take = min(left, size) if attempt == GROUP_LOG2 else size
            if take > left:
                continue
            try:
                vae.codec(take).push(stack, images[left - take : left])
            except EmptyStackError:
                continue
            steps.append(attempt)
            level = attempt
            left -= take
            break
        else:
            vae.primer(primer_bits).push(stack, images[left - 1 : left])
            steps.append(PRIMED)
            left -= 1
    while steps and steps[-1] == GROUP_LOG2:
        steps.pop()
    runs = [(step, min(count - done, 255)) for step, count in _runs(steps) for done in range(0, count, 255)]
    if len(runs) > MAX_RUNS:
        raise FormatError("the schedule of a chunk is too irregular to store")
    head = bytes([lanes_log2, GROUP_LOG2, primer_bits, len(runs)]) + bytes(b for run in runs for b in run)
    return head + stack.to_bytes()


def decode(vae: VAE, payload: bytes, count: int) -> Images:
    """Take ``count`` images, uint8 (count, height, width, channels), back out of a payload.

    Raises:
        TruncatedError, FormatError, EmptyStackError: the payload is damaged, or belongs to another model. Every bit
            of it must have been used: the stack must end as new.
    """
    if len(payload) < 4 or len(payload) < 4 + 2 * payload[3]:
        raise TruncatedError("a chunk's payload ends inside its header")
    lanes_log2, group_log2, primer_bits, n_runs = payload[:4]
    if lanes_log2 > MAX_LANES_LOG2 or group_log2 > MAX_GROUP_LOG2 or not 1 <= primer_bits <= vae.config.latent_bits:
        raise FormatError("a chunk's payload has a header beyond the limits")
    stack = Stack.from_bytes(payload[4 + 2 * n_runs :], 1 << lanes_log2)
    sizes: list[int] = []
    for i in range(n_runs):
        step, times = payload[4 + 2 * i : 6 + 2 * i]
        if times == 0 or (step > group_log2 and step != PRIMED):
            raise FormatError("a chunk's schedule is not valid")
        sizes += [0 if step == PRIMED else 1 << step] * times
    rest = count - sum(size or 1 for size in sizes)
    if rest < 0:
        raise FormatError("a chunk's schedule has more images than the chunk")
    full, last = divmod(rest, 1 << group_log2)
    sizes += [1 << group_log2] * full + [last] * (last > 0)
    if max(sizes) * vae.config.values > MAX_GROUP_VALUES:
        raise LimitError("a chunk's groups of images are too large for the model")

    image = vae.config.image
    images = np.empty((count, image.height, image.width, image.channels), np.uint8)
    position = 0
    for size in reversed(sizes):
        codec = vae.codec(size) if size else vae.primer(primer_bits)
        images[position : position + (size or 1)] = codec.pop(stack)
        position += size or 1
    if not stack.is_initial():
        raise FormatError("a chunk's payload holds more than its images")
    return images


def _cheapest_primer(vae: VAE, image: Images) -> int:
    """The number of bits a latent that codes ``image`` in two parts most cheaply, by exact comparison of stacks."""
    costs = []
    for bits in PRIMER_BITS:
        if bits <= vae.config.latent_bits:
            stack = Stack()
            vae.primer(bits).push(stack, image)
            costs.append((len(stack), int(stack.heads[0]), bits))
    return min(costs)[-1]


def _runs(steps: list[int]) -> list[tuple[int, int]]:
    return [(step, len(list(group))) for step, group in groupby(steps)]


def elbo_bits(vae: VAE, images: Images, seed: int = 0) -> NDArray[np.float64]:
    """-ELBO of each image in bits, (n,), by one sample of z from the integer posterior. A report, never coded with."""
    rng = np.random.default_rng(seed)
    costs = []
    for start in range(0, len(images), 64):
        x = images[start : start + 64]
        posterior = vae.posterior(x)
        z = posterior.pop(noise(rng, len(x) * vae.config.latents * posterior.precision))
        likelihood = vae.likelihood(z)
        pixels = (likelihood.bits(x)).reshape(len(x), -1).sum(1)
        costs.append(pixels + vae.prior(len(x)).bits(z).sum(1) - posterior.bits(z).sum(1))
    return np.concatenate(costs)


def noise(rng: np.random.Generator, bits: int) -> Stack:
    """A stack of so many random bits."""
    head = rng.integers(1 << 32, (1 << 64) - 1, 1, np.uint64, endpoint=True)
    return Stack.from_bytes(head.astype("<u8").tobytes() + rng.bytes(4 * (bits // 32 + 1)))
