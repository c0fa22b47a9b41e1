"""Decoded blocks in a folder: for who reads the same images again and again, and has the disk for them."""

from __future__ import annotations

import hashlib
import mmap
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from bitsback.archive.coding import Decoded
from bitsback.archive.container import check_sum
from bitsback.archive.head import Block
from bitsback.kinds.base import Images
from bitsback.kinds.plain import little_endian


class Pixels:
    """A folder of blocks as plain samples, which all processes map into memory instead of decoding them.

    A block is known by its shapes and the check of its samples, and is checked by that when it is mapped: what was cut
    off or damaged there is decoded anew. Who can write to the folder can change what is mapped later, so it should be
    one's own. Whatever else it holds is left alone; nothing is ever deleted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, block: Block) -> Decoded | None:
        """The block's images, if they are there, whole. None otherwise."""
        try:
            with self._path(block).open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # none; an empty file
            return None
        if len(data) != block.nbytes or check_sum(memoryview(data)) != block.check:
            return None
        samples = np.frombuffer(data, np.dtype(block.dtype).newbyteorder("<"))
        lots: list[Images] = []
        at = 0
        for count, shape in block.lots:
            size = count * shape[0] * shape[1] * shape[2]
            lots.append(samples[at : at + size].reshape(count, *shape).astype(block.dtype, copy=False))
            at += size
        return Decoded(lots)

    def store(self, block: Block, images: Decoded) -> None:
        """Keep the images of a block, whole or not at all. OSError if that fails."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(block)
        part = path.with_suffix(f".{secrets.token_hex(4)}.part")
        try:
            with part.open("xb") as file:
                for lot in images.lots:
                    file.write(little_endian(lot))
            part.replace(path)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()

    def _path(self, block: Block) -> Path:
        what = msgspec.msgpack.encode((block.lots, block.sample_bytes, block.check))
        return self.folder / f"{hashlib.sha256(what).hexdigest()[:40]}.samples"
