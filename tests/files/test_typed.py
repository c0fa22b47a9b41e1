"""The numbers of files, as NumPy has them."""

import gzip
import io

import numpy as np
import pytest
from PIL import Image

import bitsback
from bitsback.errors import FormatError
from bitsback.files import parse, values
from files.test_places import BASELINE, VOLUME, dicom, encapsulated, nifti
from files.test_tar import FILES, PGM, packed
from files.test_tiff import jpeg_tiff, made, tags

RNG = np.random.default_rng(5)


def npz(arrays, save=np.savez_compressed):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def found(data, pixels=False):
    picture = parse(data, pixels=pixels)
    assert picture.parts
    return values(picture.recipe, picture.blob, picture.parts)


ARRAYS = {
    "floats": RNG.normal(size=(9, 30, 20)).astype(np.float32),
    "few": RNG.integers(-3, 3, (40, 50)).astype(np.float64) * 1e9,
    "wide": RNG.integers(-(1 << 40), 1 << 40, (40, 50)),
    "signed": RNG.integers(-99, 99, (40, 50)).astype(np.int8),
    "samples": RNG.integers(0, 999, (3, 20, 20)).astype(np.uint16),
    "half": RNG.normal(size=(40, 50)).astype(np.float16),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name):
    array = ARRAYS[name]
    file = io.BytesIO()
    np.save(file, array)
    for data in (file.getvalue(), gzip.compress(file.getvalue())):
        (got,) = found(data)
        assert got.dtype == array.dtype and got.shape[1:3] == array.shape[-2:]
        assert np.array_equal(got.ravel(), array.ravel())


@pytest.mark.parametrize("pixels", [False, True])
def test_npz(pixels):
    for array, got in zip(ARRAYS.values(), found(npz(ARRAYS), pixels), strict=True):
        assert got.dtype == array.dtype and np.array_equal(got.ravel(), array.ravel())


@pytest.mark.parametrize("data", [dicom(), nifti(), nifti(16, data=VOLUME.astype("<f4").tobytes())])
def test_volumes(data):
    (got,) = found(data)
    assert got.dtype in (np.int16, np.float32) and np.array_equal(got[..., 0], VOLUME)


def test_few_slices_are_no_colours():
    volume = np.arange(4 * 3 * 20 * 10, dtype="<i2").reshape(4, 3, 20, 10)
    (got,) = found(nifti(data=volume.tobytes(), sizes=(10, 20, 3, 4)))
    assert np.array_equal(got[..., 0], volume.reshape(12, 20, 10))


@pytest.mark.parametrize("signed", [0, 1])
def test_numbers_of_fewer_bits_than_their_samples(signed):
    """DICOM's high bits may be anything."""
    numbers = VOLUME if signed else VOLUME + 90
    data = dicom(pixels=(numbers & 0xFFF | 0x5000).astype("<u2").tobytes(), signed=signed, stored=12)
    assert np.array_equal(found(data)[0][..., 0], numbers)


def test_more_channels_than_images_have():
    x = RNG.integers(0, 256, (20, 30, 6)).astype(np.uint8)
    (got,) = found(made([(tags(30, 20, 8, 6), [x.tobytes()])]))
    assert np.array_equal(got, x[None])


def test_inks_are_as_tiff_has_them():
    data = jpeg_tiff("CMYK")
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.concatenate(found(data), axis=1)[0], np.asarray(image))


def test_colours_of_dicom_are_those_that_it_says():
    """A JPEG file says nothing of them that has no marker."""
    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)).save(file, "jpeg", quality=99, subsampling=0)
    frame = file.getvalue()
    assert frame[2:4] == b"\xff\xe0"
    frame = frame[:2] + frame[20:]
    files = (encapsulated(BASELINE, frame, bits=8, channels=3, colours=name) for name in (b"", b"RGB "))
    alone, colours = (found(data)[0] for data in files)
    with Image.open(io.BytesIO(frame)) as image:
        assert np.array_equal(alone[0], np.asarray(image))
    with Image.open(io.BytesIO(frame)) as image:
        image.draft("YCbCr", image.size)
        assert np.array_equal(colours[0], np.asarray(image))


def test_all_that_is_within():
    files = {"a.pgm": PGM, "words": b"words", "b.nii": nifti(), "c.jpg": FILES["c.jpg"], "d.npz": npz(ARRAYS)}
    got = found(packed(files))
    with Image.open(io.BytesIO(FILES["c.jpg"])) as image:
        known = [np.frombuffer(PGM[-480:], np.uint8), VOLUME, np.asarray(image), *ARRAYS.values()]
    assert all(one.dtype == other.dtype for one, other in zip(got, known, strict=True))
    assert all(np.array_equal(one.ravel(), other.ravel()) for one, other in zip(got, known, strict=True))


def test_what_does_not_fit():
    picture = parse(nifti(16, data=VOLUME.astype("<f4").tobytes()))
    for recipe, blob in ((picture.recipe, b""), ({"format": "tar", "arrays": [{"files": {}}]}, picture.blob)):
        with pytest.raises(FormatError):
            values(recipe, blob, picture.parts)


def test_of_an_archive(tmp_path):
    (tmp_path / "a.dcm").write_bytes(dicom())
    (tmp_path / "b.txt").write_bytes(b"words")
    with bitsback.open(bitsback.compress([tmp_path / "a.dcm", tmp_path / "b.txt"])) as archive:
        first, second = (member.name for member in archive.members)
        (array,) = archive.arrays(first)
        assert array.dtype == np.int16 and np.array_equal(array, VOLUME) and archive.arrays(second) == []
        with pytest.raises(KeyError):
            archive.arrays("c")
