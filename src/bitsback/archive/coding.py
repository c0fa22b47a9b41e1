"""One block, coded and decoded; one section of bytes, packed and unpacked. Workers do this and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bitsback.archive.container import check_sum
from bitsback.archive.head import Block, Bytes
from bitsback.archive.library import PLAIN, Library
from bitsback.archive.limits import Limits
from bitsback.archive.packing import Packing, pack, unpack
from bitsback.archive.plan import Key
from bitsback.errors import BitsBackError, ChecksumError, FormatError, LimitError
from bitsback.kinds.base import Coder, Images
from bitsback.kinds.plain import little_endian


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


def coded_form(images: Images, key: Key) -> Images:
    """The samples that a coder sees: ranks 0 and 1 where there are two levels, else the samples themselves."""
    return (images == key.levels[1]).astype(np.uint8) if key.levels else images


def encode_block(
    images: Images, key: Key, coders: list[Coder], threads: int = 1, payload: bytes | None = None, verify: bool = False
) -> CodedBlock:
    """Code images (n, H, W, C) by the first coder that can; by none of them, if that would make the samples larger.

    ``payload``: what the first coder makes of them, if that is known. ``verify``: decode and compare.
    """
    coded = coded_form(images, key)
    warnings = []
    used: Coder = PLAIN
    for coder in coders:
        try:
            payload = payload or coder.encode(coded, threads)
            if len(payload) < coded.nbytes:
                if verify and not np.array_equal(coder.decode(payload, len(coded), key.shape, coded.dtype), coded):
                    raise ChecksumError("decoding does not give the same pixels")
                used = coder
            break
        except BitsBackError as error:
            warnings.append(f"{coder.name} was not used: {error}")
            payload = None
    if used is PLAIN or payload is None:
        used, payload = PLAIN, PLAIN.encode(coded)
    block = Block(
        used.tag,
        images.dtype.itemsize,
        key.shape,
        len(images),
        len(payload),
        check_sum(little_endian(images)),
        key.levels,
        bytes.fromhex(used.id),
    )
    return CodedBlock(block, payload, used, tuple(warnings))


def decode_block(block: Block, payload: bytes, library: Library, limits: Limits, threads: int = 1) -> Images:
    """The images of a block, (count, H, W, C), of its type.

    Raises ChecksumError if the samples are not the ones that went in; ModelNotFoundError; FormatError; LimitError.
    """
    coder = library.coder(block.tag, block.model.hex())
    needed = coder.memory(block.count, block.shape, block.coded_dtype, len(payload), threads) + len(payload)
    if needed > limits.memory:
        raise LimitError(f"decoding takes {needed} bytes, over the memory limit of {limits.memory} (-M raises it)")
    images = coder.decode(payload, block.count, block.shape, block.coded_dtype, threads)
    if images.shape != (block.count, *block.shape) or images.dtype != np.dtype(block.coded_dtype):
        raise FormatError(f"{coder.name} decoded to other sizes than announced")
    if block.levels:
        low, high = block.levels
        images = np.where(images > 0, np.array(high, block.dtype), np.array(low, block.dtype))
    if check_sum(little_endian(images)) != block.check:
        raise ChecksumError(f"{coder.name} decoded to other pixels than were stored")
    return images


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


__all__ = ["CodedBlock", "coded_form", "decode_block", "encode_block", "pack_bytes", "unpack_bytes"]
