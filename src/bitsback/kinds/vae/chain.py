"""The payload of a model with latents: many images on one stack, at a rate close to the ELBO from the first ones on.

Bits-back coding borrows bits from the stack to choose latents and must find them there. A stack starts empty, and
bits are never invented, so images are coded in steps that grow with it:

1. *primed* steps: one image each, in two parts (no bits borrowed), until the stack can lend what an image needs;
2. then groups of 1, 2, 4, ... up to the model's ``group`` of images side by side, each as large as the stack can carry.

Groups are what makes coding fast (one network evaluation and one vectorised push serve a whole group) and this
schedule is why they cost nothing on small inputs, where a fixed number of parallel chains would each have to be
started. Images are coded last to first, so that they are decoded first to last.

A payload is: the primer's bits and the number of runs in the schedule (one byte each); the runs, a byte for the kind of
step (log2 of its size, or 255 for a primed one) and a byte for how often; then the stack, of eight lanes if the images
have :data:`MANY_SAMPLES` samples or more, else of one. Images left by the runs form groups of the largest size and a
last, smaller one.
"""

from __future__ import annotations

from itertools import groupby
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Stack
from bitsback.codecs import Codec
from bitsback.errors import EmptyStackError, FormatError, TruncatedError
from bitsback.kinds.base import Shape

Images = NDArray[np.uint8]
"""(n, height, width, channels), samples in 0..levels - 1."""

LANES = 8
MANY_SAMPLES = 1 << 17
"""From so many samples on, a stack has eight lanes: 4 bytes of overhead each, and a faster coder."""

PRIMED = 255
MAX_RUNS = 255
PRIMER_BITS = (1, 2, 3, 4, 5, 6)


class Links(Protocol):
    """A model as a chain needs it."""

    @property
    def shape(self) -> Shape:
        """Of its images."""

    @property
    def latent_bits(self) -> int:
        """Of each latent."""

    @property
    def group(self) -> int:
        """How many images are coded side by side, at most; a power of two."""

    def codec(self, n: int) -> Codec[Images]:
        """n images side by side, with bits back."""

    def primer(self, bits: int) -> Codec[Images]:
        """One image in two parts, its latents with so many bits each."""


def encode(model: Links, images: Images) -> bytes:
    """Code uint8 (n, height, width, channels), n >= 1, into a payload that :func:`decode` takes back.

    The bytes depend on the model and the images only.
    """
    stack = Stack(_lanes(images.size))
    primer_bits = _cheapest_primer(model, images[-1:])
    largest = model.group.bit_length() - 1
    steps: list[int] = []
    left = len(images)
    level = -1
    while left:
        for attempt in range(min(level + 1, largest), -1, -1):
            size = 1 << attempt
            # In full swing the remainder is one smaller group
            take = min(left, size) if attempt == largest else size
            if take > left:
                continue
            try:
                model.codec(take).push(stack, images[left - take : left])
            except EmptyStackError:
                continue
            steps.append(attempt)
            level = attempt
            left -= take
            break
        else:
            model.primer(primer_bits).push(stack, images[left - 1 : left])
            steps.append(PRIMED)
            left -= 1
    while steps and steps[-1] == largest:
        steps.pop()
    counted = [(step, len(list(same))) for step, same in groupby(steps)]
    runs = [(step, min(count - done, 255)) for step, count in counted for done in range(0, count, 255)]
    if len(runs) > MAX_RUNS:
        raise FormatError("the schedule of a chain is too irregular to store")
    return bytes([primer_bits, len(runs)]) + bytes(b for run in runs for b in run) + stack.to_bytes()


def decode(model: Links, payload: bytes, count: int) -> Images:
    """Take ``count`` images, uint8 (count, height, width, channels), back out of a payload.

    Raises:
        TruncatedError, FormatError, EmptyStackError: the payload is damaged, or belongs to another model. Every bit
            of it must have been used: the stack must end as new.
    """
    if len(payload) < 2 or len(payload) < 2 + 2 * payload[1]:
        raise TruncatedError("a payload ends inside its schedule")
    primer_bits, runs = payload[0], payload[2 : 2 + 2 * payload[1]]
    if not 1 <= primer_bits <= model.latent_bits:
        raise FormatError("a payload's primer is not one of the model's")
    schedule = _schedule(runs, count, model.group)
    images = np.empty((count, *model.shape), np.uint8)
    stack = Stack.from_bytes(memoryview(payload)[2 + len(runs) :], _lanes(images.size))
    position = 0
    for size, times in reversed(schedule):
        codec = model.codec(size) if size else model.primer(primer_bits)
        for _ in range(times):
            images[position : position + (size or 1)] = codec.pop(stack)
            position += size or 1
    if not stack.is_initial():
        raise FormatError("a payload holds more than its images")
    return images


def _schedule(runs: bytes, count: int, group: int) -> list[tuple[int, int]]:
    """How many images are in a step, 0 standing for a primed one, and how often: in the order of pushing."""
    schedule = []
    left = count
    for step, times in zip(runs[::2], runs[1::2], strict=True):
        size = 0 if step == PRIMED else 1 << step
        if times == 0 or size > group:
            raise FormatError("a payload's schedule is not valid")
        schedule.append((size, times))
        left -= (size or 1) * times
    if left < 0:
        raise FormatError("a payload's schedule has more images than there are")
    full, last = divmod(left, group)
    return [*schedule, (group, full), (last, int(last > 0))]


def _lanes(samples: int) -> int:
    return LANES if samples >= MANY_SAMPLES else 1


def _cheapest_primer(model: Links, image: Images) -> int:
    """The number of bits a latent that codes ``image`` in two parts most cheaply, by exact comparison of stacks."""
    costs = []
    for bits in PRIMER_BITS:
        if bits <= model.latent_bits:
            stack = Stack()
            model.primer(bits).push(stack, image)
            costs.append((len(stack), int(stack.heads[0]), bits))
    return min(costs)[-1]
