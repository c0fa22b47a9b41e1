"""A tiny model and a small archive, so that these tests need no weights."""

import ast
import hashlib
import io
import zlib
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bitsback.archive import Library, Report, write_archive
from bitsback.archive.plan import Item, Planner
from bitsback.errors import FormatError
from bitsback.files import Picture, from_array

Images = NDArray[Any]


def texture(size: int) -> Images:
    """What the fake model knows about images that nothing else does: (size, size, 1)."""
    return np.random.default_rng(99).integers(0, 256, (size, size, 1), np.uint8)


class FakeModel:
    """Codes images of one shape with DEFLATE, after taking out a texture that all images of :func:`digits` share.

    ``wrong`` makes it decode to other pixels than it was given.
    """

    def __init__(self, shape: tuple[int, int, int] = (8, 8, 1), levels: int = 256, *, wrong: bool = False) -> None:
        self.shape, self.levels, self.wrong = shape, levels, wrong
        self.mask = texture(shape[0]) if levels == 256 else np.uint8(0)
        self.name = f"fake-{levels}"
        self.data = repr((shape, levels, wrong)).encode()
        self.id = hashlib.sha256(self.data).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes) -> "FakeModel":
        shape, levels, wrong = ast.literal_eval(data.decode())
        return cls(shape, levels, wrong=wrong)

    def accepts(self, shape: tuple[int, int, int], dtype: Any, levels: int | None) -> bool:
        return shape == self.shape and np.dtype(dtype) == np.uint8 and (self.levels == 256 or levels == self.levels)

    def encode(self, images: Images, threads: int = 1) -> bytes:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -9)
        return deflate.compress((images ^ self.mask).tobytes()) + deflate.flush()

    def decode(self, payload: bytes, count: int, shape: tuple[int, int, int], threads: int = 1) -> Images:
        try:
            data = zlib.decompress(payload, -9)
        except zlib.error:
            raise FormatError("the fake payload is damaged") from None
        if len(data) != count * shape[0] * shape[1] * shape[2] or shape != self.shape:
            raise FormatError("the fake payload does not hold its images")
        images = np.frombuffer(data, np.uint8).reshape(count, *shape) ^ self.mask
        return 255 - images if self.wrong else images


def digits(count: int, size: int = 8, seed: int = 0) -> Images:
    """Grey images (count, size, size, 1): a texture and a little noise."""
    return texture(size) ^ np.random.default_rng(seed).integers(0, 5, (count, size, size, 1), np.uint8)


def file_item(ordinal: int, name: str, data: bytes) -> Item:
    """A file that is kept as bytes."""
    return Item(ordinal, name, len(data), 1_700_000_000_000_000_000 + ordinal, 0o644, Picture(raw=data), lambda: data)


def image_item(ordinal: int, name: str, images: Images, size: int | None = None) -> Item:
    """A ``.npy`` file of these images, of which only one channel is kept. ``size`` pretends another file size."""
    picture = from_array(images[..., 0])
    bytes_size = size or images.nbytes + 128
    mtime = 1_700_000_000_000_000_000 + ordinal
    return Item(ordinal, name, bytes_size, mtime, 0o640, picture, lambda: b"the file".ljust(bytes_size))


@pytest.fixture
def make() -> SimpleNamespace:
    """The makers of this file, for the tests beside it."""
    return SimpleNamespace(model=FakeModel, digits=digits, file_item=file_item, image_item=image_item)


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def library(model: FakeModel) -> Library:
    return Library([model], shipped=False)


Pack = Callable[..., tuple[bytes, Report]]


@pytest.fixture
def pack_items(library: Library) -> Pack:
    """``pack_items(items, **options)`` gives the archive's bytes and the report."""

    def pack_items(items: Sequence[Item], planner: Planner | None = None, **options: Any) -> tuple[bytes, Report]:
        stream = io.BytesIO()
        options.setdefault("library", library)
        report = write_archive(stream, items, planner=planner, **options)
        return stream.getvalue(), report

    return pack_items


@pytest.fixture
def mixed_items() -> Callable[[], list[Item]]:
    """Files of several kinds: an array over several chunks, two images, two-valued ones, a text, an empty file."""

    def mixed_items() -> list[Item]:
        two = (digits(3, seed=3) > 99).astype(np.uint8) * 255
        return [
            image_item(0, "a/array.npy", digits(10)),
            image_item(1, "a/one.npy", digits(1, seed=1)),
            file_item(2, "b/text.txt", b"some text, some text, some text. " * 20),
            file_item(3, "b/empty", b""),
            image_item(4, "c/two.npy", two),
            image_item(5, "c/other.npy", digits(2, 5, seed=2)),
            image_item(6, "d.npy", digits(4, seed=4)),
        ]

    return mixed_items


@pytest.fixture
def small_archive(pack_items: Pack, mixed_items: Callable[[], list[Item]]) -> bytes:
    return pack_items(mixed_items(), Planner(chunk_samples=4 * 64))[0]
