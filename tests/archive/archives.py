"""Members, and archives of them, made here: no weights, nothing to compile."""

from __future__ import annotations

import ast
import hashlib
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bitsback.archive import Archive, Library, Report, Settings, write_archive
from bitsback.archive.item import Item
from bitsback.archive.member import Entry, Type
from bitsback.errors import BitsBackError, ChangedError, FormatError, ModelError
from bitsback.files import Picture, parse, write

Images = NDArray[Any]

NOW = 1_700_000_000_123_456_789


def texture(size: int) -> Images:
    """What the fake model knows about images that nothing else does: (size, size, 1)."""
    return np.random.default_rng(99).integers(0, 256, (size, size, 1), np.uint8)


class FakeModel:
    """Codes images of one shape with DEFLATE, after taking out a texture that all images of :func:`digits` share.

    ``wrong`` makes it decode to other pixels than it was given.
    """

    tag, learns, starts, pace = 77, False, False, 1 << 14

    def __init__(self, shape: tuple[int, int, int] = (8, 8, 1), levels: int = 256, *, wrong: bool = False) -> None:
        self.shape, self.levels, self.wrong = shape, levels, wrong
        self.mask = texture(shape[0]) if levels == 256 else np.uint8(0)
        self.name = f"fake-{levels}"
        self.data = repr((shape, levels, wrong)).encode()
        self.id = hashlib.sha256(self.data).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes) -> FakeModel:
        try:
            shape, levels, wrong = ast.literal_eval(data.decode())
        except (SyntaxError, ValueError):
            raise ModelError("not a model") from None
        return cls(shape, levels, wrong=wrong)

    def accepts(self, shape: tuple[int, int, int], dtype: DTypeLike, levels: int | None = None) -> bool:
        return shape == self.shape and np.dtype(dtype) == np.uint8 and (self.levels == 256 or levels == self.levels)

    def encode(self, images: Images, threads: int = 1) -> bytes:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -9)
        return deflate.compress((images ^ self.mask).tobytes()) + deflate.flush()

    def decode(
        self, payload: bytes, count: int, shape: tuple[int, int, int], dtype: DTypeLike = np.uint8, threads: int = 1
    ) -> Images:
        try:
            data = zlib.decompress(payload, -9)
        except zlib.error:
            raise FormatError("the fake payload is damaged") from None
        if len(data) != count * shape[0] * shape[1] * shape[2] or shape != self.shape:
            raise FormatError("the fake payload does not hold its images")
        images = np.frombuffer(data, np.uint8).reshape(count, *shape) ^ self.mask
        return 255 - images if self.wrong else images

    def memory(self, count: int, shape: tuple[int, int, int], dtype: DTypeLike, payload: int, threads: int = 1) -> int:
        return 3 * count * shape[0] * shape[1] * shape[2]

    def prepare(self) -> None:
        pass

    def prove(self) -> None:
        pass


def library() -> Library:
    """A library of its own for each archive: one that embeds a model adds it there."""
    return Library([FakeModel()], shipped=False, load=FakeModel.from_bytes)


def digits(count: int, size: int = 8, seed: int = 0) -> Images:
    """Grey images (count, size, size, 1): a texture and a little noise."""
    return texture(size) ^ np.random.default_rng(seed).integers(0, 5, (count, size, size, 1), np.uint8)


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that nothing packs."""
    return np.random.default_rng(seed).bytes(size)


def file_item(name: str, data: bytes, mtime_ns: int | None = NOW, mode: int | None = 0o644, **options: Any) -> Item:
    """A file that is kept as bytes."""
    entry = Entry(name, Type.FILE, mtime_ns, mode, len(data))
    return Item(entry, Picture(raw=data), lambda: data, sha256=hashlib.sha256(data).digest(), **options)


def image_item(name: str, *parts: Images, again: bool = False, exact: bool = True, blob: bytes = b"") -> Item:
    """A file of images, which can be read ``again`` where they are larger when coded.

    One array makes a ``.npy`` file, of which only one channel is kept if there is but one; several make a ``.npz``.
    What is not ``exact`` claims to come back in other bytes. ``blob`` is put behind the array.
    """
    file = io.BytesIO()
    if len(parts) == 1:
        np.save(file, parts[0][..., 0] if parts[0].shape[-1] == 1 else parts[0])
    else:
        np.savez(file, *parts)
    picture = parse(file.getvalue(), name)
    assert picture.parts
    picture = Picture(picture.parts, picture.recipe, picture.blob + blob, exact=picture.exact and exact)
    data = write(picture.recipe, picture.blob, picture.parts)
    entry = Entry(name, Type.FILE, NOW + 1, 0o640, len(data))
    return Item(entry, picture, (lambda: data) if again else None, sha256=hashlib.sha256(data).digest())


def stream_item(name: str, pieces: Sequence[bytes], size: int | None = None, **options: Any) -> Item:
    """A file that is not held in memory. It changes meanwhile if ``size``, which was announced, is another."""

    def stream(step: int) -> Iterator[bytes]:
        data = b"".join(pieces)
        for start in range(0, len(data), step):
            yield data[start : start + step]
        if size not in (None, len(data)):
            raise ChangedError(f"{name}: changed while it was being read")

    total = sum(map(len, pieces)) if size is None else size
    return Item(
        Entry(name, Type.FILE, NOW, 0o600, total), stream=stream, start=pieces[0][:9] if pieces else b"", **options
    )


def folder_item(name: str, mtime_ns: int | None = NOW, mode: int | None = 0o755) -> Item:
    return Item(Entry(name, Type.FOLDER, mtime_ns, mode))


def symlink_item(name: str, target: str) -> Item:
    return Item(Entry(name, Type.SYMLINK, NOW, 0o777, 0, target))


def hardlink_item(name: str, target: Item) -> Item:
    return Item(Entry(name, Type.HARDLINK, NOW, 0o644, target.entry.size, target.entry.name))


def mixed_items() -> list[Item]:
    """Members of all types: arrays over several blocks, images of two levels, texts, twins, links, an empty file."""
    two = (digits(3, seed=3) > 99).astype(np.uint8) * 255
    deep = np.random.default_rng(5).integers(0, 1 << 16, (2, 3, 4, 3), np.uint16)
    text = file_item("b/text.txt", b"some text, some text, some text. " * 20, linked=True)
    return [
        folder_item("a", None),
        image_item("a/array.npy", digits(40)),
        image_item("a/one.npy", digits(1, seed=1)),
        text,
        file_item("b/empty", b"", None, None),
        hardlink_item("b/twin.txt", text),
        image_item("c/two.npy", two),
        image_item("c/other.npy", digits(2, 5, seed=2)),
        image_item("c/deep.npy", deep),
        image_item("c/many.npz", digits(2, seed=7), digits(3, 6, seed=8)),
        file_item("c/same.txt", b"some text, some text, some text. " * 20, -5),
        symlink_item("c/link", "../b/text.txt"),
        file_item("c/noise", noise(1500), 10**20),
        image_item("d.npy", digits(20, seed=4)),
    ]


def pack(items: Iterable[Item], settings: Settings | None = None, **options: Any) -> tuple[bytes, Report]:
    """The archive's bytes, and the report."""
    stream = io.BytesIO()
    report = write_archive(stream, items, options.pop("library", None) or library(), settings or Settings(), **options)
    return stream.getvalue(), report


def opened(data: bytes, **options: Any) -> Archive:
    return Archive(data, library=options.pop("library", None) or library(), **options)


def contents_of(items: Iterable[Item]) -> dict[str, bytes]:
    """What the files among them hold."""
    found: dict[str, bytes] = {}
    for item in items:
        if item.stream:
            found[item.entry.name] = b"".join(item.stream(1 << 20))
        elif item.entry.type == Type.HARDLINK:
            found[item.entry.name] = found[item.entry.target]
        elif item.picture and item.picture.parts:
            found[item.entry.name] = write(item.picture.recipe, item.picture.blob, item.picture.parts)
        elif item.picture:
            found[item.entry.name] = bytes(item.picture.raw or b"")
    return found


def contents(archive: Archive, **options: Any) -> dict[str, bytes | BitsBackError]:
    """What the files in an archive hold, or what is wrong with them."""
    found: dict[str, bytes | BitsBackError] = {}
    for member, data in archive.contents(**options):
        try:
            found[member.name] = data if isinstance(data, BitsBackError) else b"".join(data)
        except BitsBackError as error:
            found[member.name] = error
    return found


def good(archive: Archive) -> dict[str, bytes]:
    """Those that can be had."""
    return {name: data for name, data in contents(archive, threads=1).items() if isinstance(data, bytes)}


def flipped(data: bytes, place: int, change: int = 0x55) -> bytes:
    damaged = bytearray(data)
    damaged[place] ^= change
    return bytes(damaged)


Change = Callable[[bytes], bytes]
