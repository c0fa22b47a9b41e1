"""One block, coded and decoded; one section of bytes, packed and unpacked. Workers do this and nothing else."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from bitsback.archive.container import check_sum
from bitsback.archive.front import Front, Levels, decode_behind, encode_behind, form_of, forms, memory_behind
from bitsback.archive.head import Block, Bytes
from bitsback.archive.library import PLAIN, Library
from bitsback.archive.limits import Limits
from bitsback.archive.packing import Packing, pack, unpack
from bitsback.errors import BitsBackError, ChecksumError, LimitError
from bitsback.kinds.base import Coder, Images
from bitsback.kinds.lots import lots_of
from bitsback.kinds.plain import little_endian


class Decoded:
    """The images of a block, numbered from 0, in lots of one shape each."""

    def __init__(self, lots: Sequence[Images]) -> None:
        self.lots = tuple(lots)
        for images in self.lots:
            images.flags.writeable = False
        self._ends = list(accumulate(map(len, self.lots)))

    def __len__(self) -> int:
        return self._ends[-1]

    @property
    def nbytes(self) -> int:
        return sum(images.nbytes for images in self.lots)

    def __getitem__(self, number: int) -> Images:
        """An image, (H, W, C)."""
        lot = bisect_right(self._ends, number)
        image: Images = self.lots[lot][number - self._ends[lot]]
        return image

    def parts(self, start: int, stop: int) -> Iterator[Images]:
        """The images from one number to another, an array for each shape."""
        first = 0
        for images, end in zip(self.lots, self._ends, strict=True):
            if max(first, start) < min(end, stop):
                yield images[max(start - first, 0) : stop - first]
            first = end


@dataclass(frozen=True, slots=True)
class CodedBlock:
    """A finished block."""

    block: Block
    payload: bytes
    coder: Coder
    warnings: tuple[str, ...] = ()


GRAIN = 1 << 22
"""Samples that are work for one thread."""


def worth(samples: int, threads: int) -> int:
    """How many of ``threads`` so many samples may keep busy by themselves, their coder willing.

    >>> worth(1 << 20, 8), worth(72_000_000, 8), worth(72_000_000, 64)
    (1, 8, 17)
    """
    return max(1, min(threads, samples // GRAIN))


def encode_block(
    lots: Sequence[Images],
    front: Front,
    coders: Sequence[Coder],
    threads: int = 1,
    payload: bytes | None = None,
    verify: bool = False,
) -> CodedBlock:
    """Code lots of images (n, H, W, C), behind a front, by the first coder that can; by none of them, if that would
    make the samples larger.

    ``payload``: what the first coder makes of them, if that is known. ``verify``: decode and compare.
    """
    warnings: list[str] = []
    simple = _simple(front)
    least = sum(images.size for images in lots) * forms(simple, form_of(lots))[-1].sample_bytes
    for coder in coders:
        try:
            payload = payload or encode_behind(front, coder, lots, threads)
            if len(payload) >= least:
                break
            block = _block(coder, lots, front, payload)
            if verify and not _same(decode_behind(front, coder, payload, block.lots, block.form), lots):
                raise ChecksumError("decoding does not give the same pixels")
            return CodedBlock(block, payload, coder, tuple(warnings))
        except BitsBackError as error:
            warnings.append(f"{coder.name} was not used: {error}")
            payload = None
    return coded_block(lots, front, PLAIN, encode_behind(simple, PLAIN, lots), warnings)


def coded_block(
    lots: Sequence[Images], front: Front, coder: Coder, payload: bytes, warnings: Sequence[str] = ()
) -> CodedBlock:
    """What :func:`encode_block` gives, by what it found out: who codes them, perhaps nobody, and the payload."""
    before = _simple(front) if coder is PLAIN else front
    return CodedBlock(_block(coder, lots, before, payload), payload, coder, tuple(warnings))


def _simple(front: Front) -> Front:
    """What is left of a front where images are not coded."""
    return front if front and isinstance(front[-1], Levels) else ()


def _same(one: Sequence[Images], other: Sequence[Images]) -> bool:
    return all(map(np.array_equal, one, other))


def _block(coder: Coder, lots: Sequence[Images], front: Front, payload: bytes) -> Block:
    check = check_sum(*map(little_endian, lots))
    identity = bytes.fromhex(coder.id)
    return Block(coder.tag, lots[0].itemsize, lots_of(lots), len(payload), check, front, identity)


def working(block: Block, coder: Coder, threads: int = 1) -> int:
    """Bytes that decoding a block takes at most, its payload and what is decoded included."""
    return memory_behind(block.front, coder, block.lots, block.form, block.size, threads) + block.size


def decode_block(block: Block, payload: bytes, library: Library, limits: Limits, threads: int = 1) -> Decoded:
    """The images of a block.

    Raises ChecksumError if the samples are not the ones that went in; ModelNotFoundError; FormatError; LimitError.
    """
    coder = library.coder(block.tag, block.model.hex())
    needed = working(block, coder, threads)
    if needed > limits.memory:
        raise LimitError(f"decoding takes {needed} bytes, over the memory limit of {limits.memory} (-M raises it)")
    images = decode_behind(block.front, coder, payload, block.lots, block.form, threads)
    if check_sum(*map(little_endian, images)) != block.check:
        raise ChecksumError(f"{coder.name} decoded to other pixels than were stored")
    return Decoded(images)


def pack_bytes(data: bytes, packable: bool = True) -> tuple[Bytes | None, bytes]:
    """A section of bytes, and what it takes in the payload."""
    if not data:
        return None, b""
    how, packed = pack(data) if packable else (Packing.STORED, data)
    return Bytes(how, len(data), check_sum(data), len(packed)), packed


def unpack_bytes(section: Bytes, packed: bytes) -> bytes:
    """The inverse. ChecksumError or FormatError if they are not the ones that went in."""
    data = unpack(section.packing, packed, section.size)
    if check_sum(data) != section.check:
        raise ChecksumError("the bytes unpacked to others than were stored")
    return data


__all__ = [
    "CodedBlock",
    "Decoded",
    "coded_block",
    "decode_block",
    "encode_block",
    "pack_bytes",
    "unpack_bytes",
    "working",
    "worth",
]
