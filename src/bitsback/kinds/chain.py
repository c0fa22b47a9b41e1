"""Many images on one stack, which lends bits for latents, and for the order of sorted images, and gets them back: the
payload of a model with latents, at a rate close to the ELBO from the first ones on, and of sorted images of others.

Bits-back coding borrows bits from the stack to choose latents and must find them there. A stack starts empty, and
bits are never invented, so images are coded in steps that grow with it:

1. *primed* steps: one image each, in two parts (no bits borrowed), until the stack can lend what an image needs;
2. then groups of 1, 2, 4, ... up to the model's ``group`` of images side by side, each as large as the stack can carry.

Groups are what makes coding fast (one network evaluation and one vectorised push serve a whole group) and this
schedule is why they cost nothing on small inputs, where a fixed number of parallel chains would each have to be
started. Images are coded last to first, so that they are decoded first to last.

Where images are *sorted* (their samples, as numbers, first to last), their order says nothing, and is not paid for: the
stack chooses which of those left is pushed next, and gets these bits back when that is put in its place again
(:class:`bitsback.codecs.Multiset`). That saves log2(n!) bits.

A payload is: the primer's bits, 128 more if the images are sorted, and the number of runs in the schedule (one byte
each); the runs, a byte for the kind of step (log2 of its size, or 255 for a primed one) and a byte for how often; then
the stack, of eight lanes if the images have :data:`MANY_SAMPLES` samples or more, else of one. Images left by the runs
form groups of the largest size and a last, smaller one. With few latents one primed image is enough, and every group
can be twice as large as the one before; with more of them, every second one. These schedules go without saying
(:func:`_usual`), which is most of what the start of a short chain would cost.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from contextlib import suppress
from itertools import groupby, pairwise
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
MANY_SAMPLES = 1 << 20
"""From so many samples on, a stack has eight lanes: 8 bytes of overhead each, and a faster coder."""

PRIMED = 255
MAX_RUNS = 254
UNSAID = {0: 1, 255: 2}
"""What stands in the place of a number of runs for those of :func:`_usual`, and how often each group is there."""
SORTED = 128
MAX_SORTED = 1 << 16
"""Images whose order may be left out."""

FEWEST_SORTED = 16
"""Images from which on a look at their order pays."""

PRECISION = 24
"""Of a choice."""

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


class Whole:
    """A model without latents, or with such as borrow nothing from a chain: what :func:`encode` needs of it.

    Args:
        shape: of an image, (height, width, channels).
        most: how many images may be coded side by side.
        coding: the codec of so many of them, (n, height, width, channels).
    """

    latent_bits = 1

    def __init__(self, shape: Shape, most: int, coding: Callable[[int], Codec[Images]]) -> None:
        self.shape, self.group, self.codec = shape, 1 << (most.bit_length() - 1), coding

    def primer(self, bits: int) -> Codec[Images]:
        """One image, for whose place in the order nothing is borrowed."""
        return self.codec(1)


def encode(model: Links, images: Images, usual: bool = False) -> bytes:
    """Code uint8 (n, height, width, channels), n >= 1, into a payload that :func:`decode` takes back.

    The bytes depend on the model and the images only.

    Raises:
        FormatError: the images are worth so little that no schedule can be said; or, if it must be ``usual``, that it
            would have to be.
    """
    primer_bits = _cheapest_primer(model, images[-1:])
    largest = model.group.bit_length() - 1
    for sign, times in UNSAID.items():
        rest, stack = _rest(images), Stack(_lanes(images.size))
        with suppress(EmptyStackError):
            for size, steps in _schedule(_usual(len(images), largest, times), len(images), model.group):
                for _ in range(steps):
                    _push(model, images, rest, stack, size, primer_bits)
            return bytes([primer_bits | SORTED * rest.sorted, sign]) + stack.pack()
    if usual:
        raise FormatError("the schedule of a chain is not a usual one")
    rest, stack = _rest(images), Stack(_lanes(images.size))
    runs, stack = _greedy(model, images, rest, stack, primer_bits)
    if len(runs) > 2 * MAX_RUNS:
        raise FormatError("the schedule of a chain is too irregular to store")
    return bytes([primer_bits | SORTED * rest.sorted, len(runs) // 2]) + runs + stack.pack()


def _push(model: Links, images: Images, rest: _Rest, stack: Stack, size: int, primer_bits: int) -> None:
    """A step, of one primed image if ``size`` is 0; EmptyStackError if the stack cannot lend what it takes."""
    if size:
        chosen = rest.choose(stack, size)
        model.codec(size).push(stack, images[chosen])
    else:
        chosen = rest.last()
        model.primer(primer_bits).push(stack, images[chosen])
    rest.take(chosen)


def _greedy(model: Links, images: Images, rest: _Rest, stack: Stack, primer_bits: int) -> tuple[bytes, Stack]:
    """Push all images, at each step as many as the stack can carry: the runs, and the stack."""
    largest = model.group.bit_length() - 1
    steps: list[int] = []
    left, level = len(images), -1
    while left:
        for attempt in range(min(level + 1, largest), -1, -1):
            # In full swing the remainder is one smaller group
            size = min(left, model.group) if attempt == largest else 1 << attempt
            if size > left:
                continue
            before = stack.copy()
            try:
                _push(model, images, rest, stack, size, primer_bits)
            except EmptyStackError:
                stack = before
                continue
            steps.append(attempt)
            level = attempt
            left -= size
            break
        else:
            _push(model, images, rest, stack, 0, primer_bits)
            steps.append(PRIMED)
            left -= 1
    while steps and steps[-1] == largest:
        steps.pop()
    counted = [(step, len(list(same))) for step, same in groupby(steps)]
    runs = [(step, min(count - done, 255)) for step, count in counted for done in range(0, count, 255)]
    return bytes(b for run in runs for b in run), stack


def decode(model: Links, payload: bytes, count: int) -> Images:
    """Take ``count`` images, uint8 (count, height, width, channels), back out of a payload.

    Raises:
        TruncatedError, FormatError, EmptyStackError: the payload is damaged, or belongs to another model. Every bit
            of it must have been used: the stack must end as new.
    """
    said = 2 * payload[1] if len(payload) > 1 and payload[1] not in UNSAID else 0
    if len(payload) < 2 + said:
        raise TruncatedError("a payload ends inside its schedule")
    primer_bits, runs = payload[0] & ~SORTED, payload[2 : 2 + said]
    if not 1 <= primer_bits <= model.latent_bits:
        raise FormatError("a payload's primer is not one of the model's")
    largest = model.group.bit_length() - 1
    schedule = _schedule(runs or _usual(count, largest, UNSAID[payload[1]]), count, model.group)
    if payload[0] & SORTED and count > MAX_SORTED:
        raise FormatError("a payload has more sorted images than there may be")
    shelf: list[bytes] = []
    images = np.empty((count, *model.shape), np.uint8)
    stack = Stack.unpack(memoryview(payload)[2 + len(runs) :], _lanes(images.size))
    position = 0
    for size, times in reversed(schedule):
        codec = model.codec(size) if size else model.primer(primer_bits)
        for _ in range(times):
            found = codec.pop(stack)
            images[position : position + (size or 1)] = found
            position += size or 1
            if payload[0] & SORTED:
                _shelve(stack, shelf, found, chosen=size > 0)
    if not stack.is_initial():
        raise FormatError("a payload holds more than its images")
    if payload[0] & SORTED:
        for image, key in zip(images, shelf, strict=True):
            image[:] = np.frombuffer(key, np.uint8).reshape(model.shape)
    return images


def _usual(count: int, largest: int, times: int) -> bytes:
    """The runs of a chain of so many images that says nothing of its runs: a primed image, then groups of 1, 2, 4, ...
    while that many are left, so many times each, each half as large as the largest at most.

    >>> list(_usual(9, 6, 1)), list(_usual(9, 6, 2))
    ([255, 1, 0, 1, 1, 1, 2, 1], [255, 1, 0, 2, 1, 2])
    """
    runs, left = [PRIMED, 1], count - 1
    for level in range(largest):
        repeated = min(times, left >> level)
        if not repeated:
            break
        runs += [level, repeated]
        left -= repeated << level
    return bytes(runs)


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


# Order ----------------------------------------------------------------------------------------------------------------


class _Rest(Protocol):
    """Images that are left to be pushed, by number."""

    sorted: bool

    def choose(self, stack: Stack, count: int) -> slice | list[int]:
        """Those to be pushed next; EmptyStackError if the stack cannot choose."""

    def last(self) -> slice | list[int]:
        """One that needs no choice."""

    def take(self, chosen: slice | list[int]) -> None:
        """Take away what was chosen."""


def _rest(images: Images) -> _Rest:
    return _Shelf(images) if is_sorted(images) else _Row(images)


class _Row(_Rest):
    """Images whose order counts: the last ones come first."""

    sorted = False

    def __init__(self, images: Images) -> None:
        self._left = len(images)

    def choose(self, stack: Stack, count: int) -> slice:
        return slice(self._left - count, self._left)

    def last(self) -> slice:
        return self.choose(Stack(), 1)

    def take(self, chosen: slice | list[int]) -> None:
        if isinstance(chosen, slice):
            self._left = chosen.start


class _Shelf(_Rest):
    """Sorted images: the stack chooses."""

    sorted = True

    def __init__(self, images: Images) -> None:
        self._keys, self._numbers = [image.tobytes() for image in images], list(range(len(images)))

    def choose(self, stack: Stack, count: int) -> list[int]:
        keys, numbers, found = self._keys.copy(), self._numbers.copy(), []
        for _ in range(count):
            at = int(stack.peek(PRECISION, 1)[0]) * len(keys) >> PRECISION
            stack.drop(*_interval(keys, keys[at]), PRECISION)
            del keys[at]
            found.append(numbers.pop(at))
        return found

    def last(self) -> list[int]:
        return self._numbers[-1:]

    def take(self, chosen: slice | list[int]) -> None:
        for number in chosen if isinstance(chosen, list) else ():
            at = bisect_left(self._numbers, number)
            del self._keys[at], self._numbers[at]


def _shelve(stack: Stack, shelf: list[bytes], images: Images, *, chosen: bool) -> None:
    """Put images where they belong, and give back what chose them."""
    for image in reversed(images):
        key = image.tobytes()
        insort(shelf, key)
        if chosen:
            stack.push(*_interval(shelf, key), PRECISION)


def _interval(keys: list[bytes], key: bytes) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Start and length, (1,) each, of the interval of an image, and of those that are the same, among sorted ones, of
    which each is as likely."""
    start, end = (-(-(edge << PRECISION) // len(keys)) for edge in (bisect_left(keys, key), bisect_right(keys, key)))
    return np.array([start], np.uint32), np.array([end - start], np.uint32)


def shelf(count: int, samples: int) -> int:
    """Bytes that so many images of so many samples take on the shelf that sorted ones are on before they come out."""
    return count * (samples + 64) if count <= MAX_SORTED else 0


def is_sorted(images: Images) -> bool:
    """Whether images are in the order of their samples, and there is something to gain by that."""
    if not FEWEST_SORTED <= len(images) <= MAX_SORTED:
        return False
    keys = (image.tobytes() for image in images)
    return all(one <= other for one, other in pairwise(keys))
