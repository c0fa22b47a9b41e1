"""What a file's images are, through :class:`Collection`, as everything else sees them."""

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bitsback.data.collection import Collection
from bitsback.errors import ImageError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (9, 7), np.uint8)
COLOUR = RNG.integers(0, 256, (9, 7, 3), np.uint8)


def encoded(image: np.ndarray, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def tar(path: Path, members: dict[str, bytes], **options: object) -> None:
    with tarfile.open(path, "w", **options) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def refused(path: Path) -> str:
    with pytest.raises(ImageError) as error:
        Collection.open([path]).read(0)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("image", [GREY, COLOUR], ids=["grey", "colour"])
def test_lossless_formats(tmp_path: Path, kind: str, image: np.ndarray) -> None:
    (tmp_path / f"x.{kind.lower()}").write_bytes(encoded(image, kind))
    (tmp_path / "without suffix").write_bytes(encoded(image, kind))
    c = Collection.open([tmp_path])
    assert len(c) == 2
    for i in range(2):
        np.testing.assert_array_equal(c.read(i), image.reshape(9, 7, -1))


@pytest.mark.parametrize(
    ("kind", "suffix", "options"),
    [
        ("JPEG", "jpg", {"quality": 95}),
        ("WEBP", "webp", {"quality": 90}),
        ("WEBP", "webp", {"lossless": True}),
        ("GIF", "gif", {}),
        ("TIFF", "tif", {"compression": "tiff_lzw"}),
        ("TIFF", "tif", {"compression": "jpeg"}),
    ],
)
def test_formats_that_pillow_decodes(tmp_path: Path, kind: str, suffix: str, options: dict[str, object]) -> None:
    data = encoded(COLOUR, kind, **options)
    (tmp_path / f"x.{suffix}").write_bytes(data)
    expected = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(Collection.open([tmp_path]).read(0), expected)


def test_a_grey_jpeg_has_one_channel_and_a_webp_keeps_its_alpha(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(GREY, "JPEG"))
    rgba = np.dstack([COLOUR, GREY])
    (tmp_path / "b.webp").write_bytes(encoded(rgba, "WEBP", lossless=True, exact=True))
    c = Collection.open([tmp_path])
    assert c.read(0).shape == (9, 7, 1)
    np.testing.assert_array_equal(c.read(1), rgba)


def test_a_compressed_tiff_of_16_bits_is_not_narrowed(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(encoded(GREY.astype(np.uint16) * 257, "TIFF", compression="tiff_lzw"))
    assert np.array_equal(Collection.open([tmp_path]).item(0).pixels[..., 0], GREY.astype(np.uint16) * 257)


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_palettes_are_told_from_grey(tmp_path: Path, kind: str) -> None:
    picture = Image.fromarray(COLOUR).quantize(16)
    picture.save(tmp_path / "x", kind)
    assert Collection.open([tmp_path]).item(0).palette
    Image.fromarray(GREY).save(tmp_path / "x", kind)
    assert not Collection.open([tmp_path]).item(0).palette


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    axes=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    dtype=st.sampled_from(["|b1", "|u1", "<u2", ">u2"]),
    fortran=st.booleans(),
    how=st.sampled_from(["npy", "npy.gz", "stored.npz", "deflated.npz"]),
)
def test_arrays_are_read_image_by_image_as_the_archive_sees_them(
    tmp_path: Path, axes: list[int], dtype: str, fortran: bool, how: str
) -> None:
    from bitsback.files import parse

    array = np.random.default_rng(len(axes)).integers(0, 2 if dtype == "|b1" else 200, axes).astype(dtype)
    if fortran:
        array = np.asfortranarray(array)
    path = tmp_path / f"x.{how}"
    if how.endswith("npz"):
        (np.savez if how == "stored.npz" else np.savez_compressed)(path, x=array)
    else:
        path.write_bytes(npy(array) if how == "npy" else gzip.compress(npy(array)))
    (expected,) = parse(npy(array)).parts
    c = Collection.open([path])
    assert len(c) == len(expected)
    for i, image in enumerate(expected):
        found = c.read(i)
        assert found.dtype == image.dtype and found.flags.c_contiguous
        np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("packed", [False, True])
def test_idx(tmp_path: Path, packed: bool) -> None:
    images = RNG.integers(0, 256, (5, 9, 7), np.uint8)
    data = idx(images)
    name = "t-images-idx3-ubyte" + ".gz" * packed
    (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
    c = Collection.open([tmp_path / name])
    assert [c.name(i) for i in (0, 4)] == [f"{name}[0]", f"{name}[4]"]
    np.testing.assert_array_equal(c.read(3)[..., 0], images[3])


def test_an_npz_has_its_images_taken_and_its_labels_left(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (4, 9, 7, 3), np.uint8)
    labels = np.zeros((4, 1), np.uint8)
    np.savez(tmp_path / "x.npz", images=images, labels=labels, weights=np.zeros((4, 9, 7)))
    c = Collection.open([tmp_path / "x.npz"])
    assert [c.name(i) for i in range(len(c))] == [f"x.npz/images[{i}]" for i in range(4)]
    assert not c.skipped


def test_a_gzipped_image(tmp_path: Path) -> None:
    (tmp_path / "x.pgm.gz").write_bytes(gzip.compress(encoded(GREY, "PPM")))
    np.testing.assert_array_equal(Collection.open([tmp_path]).read(0)[..., 0], GREY)


def test_shards(tmp_path: Path) -> None:
    png, jpeg = encoded(GREY, "PNG"), encoded(COLOUR, "JPEG")
    members = {"10.png": png, "9.png": png, "9.json": b"{}", "9.cls": b"7", "deep/er/" + "n" * 150 + ".jpg": jpeg}
    tar(tmp_path / "a.tar", members)
    tar(tmp_path / "b.tar", {"9.png": png}, format=tarfile.PAX_FORMAT)
    c = Collection.open([tmp_path / "a.tar", tmp_path / "b.tar"])
    expected = ["a.tar/9.png", "a.tar/10.png", f"a.tar/deep/er/{'n' * 150}.jpg", "b.tar/9.png"]
    assert [c.name(i) for i in range(len(c))] == expected
    np.testing.assert_array_equal(c.read(1)[..., 0], GREY)
    assert c.read(2).shape == (9, 7, 3)
    assert not c.skipped


def test_a_shard_with_a_damaged_header_gives_what_comes_before(tmp_path: Path) -> None:
    png = encoded(GREY, "PNG")
    tar(tmp_path / "x.tar", {f"{k}.png": png for k in range(4)})
    data = bytearray((tmp_path / "x.tar").read_bytes())
    data[2048 + 150] ^= 255  # the checksum of the third member, each being one block of data
    (tmp_path / "x.tar").write_bytes(data)
    c = Collection.open([tmp_path / "x.tar"])
    assert len(c) == 2
    assert [(one.name, one.reason) for one in c.skipped] == [
        ("x.tar", "damaged at byte 2048: what follows is left out")
    ]


def test_a_shard_that_was_cut_off(tmp_path: Path) -> None:
    tar(tmp_path / "x.tar", {f"{k}.png": encoded(GREY, "PNG") for k in range(2)})
    (tmp_path / "x.tar").write_bytes((tmp_path / "x.tar").read_bytes()[:1540])
    c = Collection.open([tmp_path / "x.tar"])
    c.read(0)
    with pytest.raises(ImageError, match=r"x\.tar/1\.png: the file ends"):
        c.read(1)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.png", b"", "empty"),
        ("a.png", b"hello", "not an image"),
        ("a.png", encoded(GREY, "PNG")[:-20], "PNG"),
        ("a.png", npy(GREY), "npy"),
        ("a.jpg", encoded(COLOUR, "JPEG")[:200], "damaged"),
        ("a.tif", b"II*\0" + bytes(30), "damaged"),
        ("a.npy", npy(GREY)[:-3], "ends before"),
        ("a.npy", b"\x93NUMPY\x01\x00" + bytes(20), "header"),
        ("a.npy", npy(GREY.astype(np.float32)), "float32"),
        ("a.npy", npy(np.zeros((0, 9, 7), np.uint8)), "no pixels"),
        ("a.npy", npy(np.zeros(9, np.uint8)), "1 axes"),
        ("a.npz", b"PK\x03\x04" + bytes(50), "damaged"),
        ("a-idx3-ubyte", idx(GREY[None])[:-1], "ends before"),
        ("a.gz", gzip.compress(idx(GREY[None]), mtime=0)[:-9], "damaged gzip"),
        ("a.gz", gzip.compress(b"hello", mtime=0), "not an image"),
        ("a.txt", b"hello", "not an image"),
        ("a.tar", b"hello", "tar"),
    ],
)
def test_damage_is_named(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(data)
    message = refused(tmp_path / name)
    assert message.partition(name)[2]
    assert reason in message


def test_a_damaged_member_of_an_npz_is_noticed(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((50, 9, 7), np.uint8))
    data = bytearray((tmp_path / "x.npz").read_bytes())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        crc = struct.pack("<I", archive.infolist()[0].CRC)
    at = data.index(b"PK\x01\x02")
    data[data.index(crc, at)] ^= 1
    (tmp_path / "x.npz").write_bytes(data)
    assert "CRC" in refused(tmp_path / "x.npz")


def test_a_compressed_tar_is_refused_with_what_to_do(tmp_path: Path) -> None:
    tar(tmp_path / "x.tar", {"9.png": encoded(GREY, "PNG")})
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress((tmp_path / "x.tar").read_bytes()))
    assert "gunzip" in refused(tmp_path / "x.tar.gz")
