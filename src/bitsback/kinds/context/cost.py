"""What decoding with a context network takes, known from its specification alone."""

from __future__ import annotations

from bitsback.kinds.context.network import MAX_MEMORY_BITS, SKEW, ContextSpec, plane_count
from bitsback.kinds.context.tiles import Whole, largest, padded, piece_count
from bitsback.kinds.pieces import held


def decoding(spec: ContextSpec, shape: Whole, payload: int, threads: int) -> int:
    """Bytes for images of ``shape`` from a payload of so many bytes, the images included."""
    count, most = piece_count(shape), largest(shape)
    return held(shape, most) + 500 * count + 2 * payload + min(threads, count) * working(spec, most)


def working(spec: ContextSpec, shape: Whole) -> int:
    """Bytes that a :class:`~bitsback.kinds.context.codec.ContextCodec` takes to pop images of ``shape``, its result
    included, twice as its channels may be moved; without the feature map."""
    n, height, width, channels = shape
    planes = 2 * plane_count(spec, channels) * n * padded(height, width)
    entries = 2 * n * len(spec.memories) << min(MAX_MEMORY_BITS, (height * width - 1).bit_length())
    slots = 8 * len(spec.memories) * n * height
    sums = 0
    if spec.regression is not None:
        size = len(spec.regression.taps) + channels
        numbers = n * (height + width + 2 * SKEW) + 256  # of rows, and of columns by their remainder; all padded
        sums = 4 * (size * (size + 1) // 2) * numbers
    order = 8 * height * width
    return planes + entries + slots + sums + order + 2 * n * height * width * channels + (4 << 20)


def pace(spec: ContextSpec, channels: int, parameters: int) -> int:
    """Samples that one core decodes in about a tenth of a second: see :attr:`bitsback.kinds.base.Coder.pace`."""
    return samples_in_time(nanoseconds(spec, channels, parameters), channels)


def nanoseconds(spec: ContextSpec, channels: int, parameters: int) -> int:
    """What a pixel takes, roughly: for each sample and component of its mixture, each multiply-accumulate, the
    factorisation of the moments, and each memory. Fitted to the networks that ship, on one core of an AMD EPYC."""
    samples = channels * (55 + 28 * (parameters // 3))
    regression = (len(spec.regression.taps) + channels) ** 3 // 14 if spec.regression is not None else 0
    return samples + spec.macs(parameters) // 32 + regression + 160 * len(spec.memories)


def samples_in_time(nanoseconds_a_pixel: int, channels: int) -> int:
    """The power of two next to what a tenth of a second is enough for, but within 2^14 and 2^24."""
    squared = (10**8 * channels // nanoseconds_a_pixel) ** 2
    return 1 << min(max(squared.bit_length() // 2, 14), 24)
