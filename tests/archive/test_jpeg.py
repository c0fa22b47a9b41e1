"""JPEG files through an archive: coefficients in blocks of their own, files byte for byte, images as Pillow does."""

import io

import numpy as np
import pytest
from PIL import Image

from archive.archives import file_item
from archive.test_format import WORDS, bare
from bitsback.archive import Archive, Settings, write_archive
from bitsback.archive.edit import rebuild
from bitsback.archive.item import Item
from bitsback.files import parse
from bitsback_decoder import archive as plain_reader
from files.test_tar import packed as tar
from files.test_zips import zipped


def jpeg(seed: int, height: int = 40, width: int = 48, **options: object) -> bytes:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [
        128 + 80 * np.sin(x / rng.uniform(4, 20) + y / rng.uniform(4, 20)) + rng.normal(0, 5, x.shape) for _ in "rgb"
    ]
    file = io.BytesIO()
    Image.fromarray(np.stack(waves, 2).clip(0, 255).astype(np.uint8)).save(file, "jpeg", **options)
    return file.getvalue()


FILES = {
    "a.jpg": jpeg(0),
    "b.jpg": jpeg(1, progressive=True, quality=90),
    "c.jpeg": jpeg(2, 9, 9, subsampling=0),
    "d.jpg": jpeg(3)[:-300],
}


def item(name: str, data: bytes) -> Item:
    one = file_item(name, data)
    one.picture = parse(data, name)
    return one


def packed(block: int = 0) -> tuple[bytes, list[str]]:
    stream = io.BytesIO()
    extra = {"notes.txt": b"text", "other.jpg": b"\xff\xd8\xff no such file"}
    items = [item(name, data) for name, data in (FILES | extra).items()]
    report = write_archive(stream, items, bare(), Settings(block=block))
    return stream.getvalue(), [kept.how for kept in report.members]


@pytest.mark.parametrize("block", [0, 1 << 10])
def test_files_come_back_by_both_readers(block: int) -> None:
    data, how = packed(block)
    assert how[:4] == ["jpeg"] * 4 and "jpeg" not in how[4:]
    _, found = plain_reader.read(data, WORDS, ())
    with Archive(data, library=bare()) as archive:
        assert archive.test() == []
        for name, file in FILES.items():
            assert archive.read(name) == file == found[name.encode()].file
        blocks = [one for chunk in archive.structure.chunks for one in chunk.head.blocks]
        assert {one.tag for one in blocks} == {5} and len(blocks) == (4 if block else 1)


def test_images_are_those_that_pillow_sees() -> None:
    data, _ = packed()
    with Archive(data, library=bare()) as archive:
        assert len(archive) == len(FILES)
        for number, name in enumerate(("a.jpg", "b.jpg", "c.jpeg")):
            with Image.open(io.BytesIO(FILES[name])) as image:
                np.testing.assert_array_equal(archive[number], np.asarray(image))
        assert [member.images for member in archive.members] == [1, 1, 1, 1, 0, 0]


def test_some_of_a_block_can_be_taken_out() -> None:
    data, _ = packed()
    with Archive(data, library=bare()) as archive:
        stream = io.BytesIO()
        rebuild([(archive, [archive.members[0], archive.members[2]])], stream)
    with Archive(stream.getvalue(), library=bare()) as rebuilt:
        assert rebuilt.test() == []
        assert [rebuilt.read(name) for name in ("a.jpg", "c.jpeg")] == [FILES["a.jpg"], FILES["c.jpeg"]]


def test_an_archive_of_jpeg_files_is_smaller_than_they_are() -> None:
    data, _ = packed()
    assert len(data) < 0.95 * sum(map(len, FILES.values()))


def test_files_within_files_are_images_like_others() -> None:
    """JPEG and PGM in a tar and in a zip file: a content whose arrays are partly coefficients."""
    pixels = np.random.default_rng(0).integers(0, 9, (2, 10, 12)).astype(np.uint8)
    small = [jpeg(4, 16, 16), jpeg(5, 9, 9)]
    files = {"0.pgm": b"P5 12 10 255 " + pixels[0].tobytes(), "a.jpg": small[0], "t.txt": b"words"}
    files |= {"1.pgm": b"P5 12 10 255 " + pixels[1].tobytes(), "b.jpg": small[1]}
    held = {"a.tar": tar(files), "b.zip": zipped(files | {"inner.tar": tar(files)})}
    stream = io.BytesIO()
    report = write_archive(stream, [item(name, data) for name, data in held.items()], bare(), Settings())
    assert [kept.images for kept in report.members] == [4, 8]
    with Archive(stream.getvalue(), library=bare()) as archive:
        assert archive.test() == [] and [member.images for member in archive.members] == [4, 8]
        assert all(archive.read(name) == file for name, file in held.items())
        shown = [np.asarray(Image.open(io.BytesIO(data))) for data in small]
        for number, image in enumerate(archive):
            np.testing.assert_array_equal(image, [pixels[0], shown[0], pixels[1], shown[1]][number % 4])
