import io
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.errors import ImageError
from bitsback.files import from_array, parse, write
from bitsback.files.arrays import check_array, npy_bytes
from bitsback.files.axes import as_images


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def counting(shape, dtype):
    return (np.arange(np.prod(shape)) % (2 if dtype is bool else 251)).reshape(shape).astype(dtype)


GREY = [(4, 5), (2, 4, 5), (7, 5, 6, 1), (2, 2, 3, 5, 6)]
COLOUR = [(4, 5, 3), (4, 5, 4), (2, 5, 6, 3), (2, 3, 5, 6), (2, 2, 5, 6, 3)]
OTHER_TYPES = ["S3", "U2", "V4", "g", "G", [("a", "u1"), ("b", "u2")]]


@pytest.mark.parametrize("shape", GREY + COLOUR)
@pytest.mark.parametrize("dtype", [bool, "u1", "<u2", ">u2"])
@pytest.mark.parametrize("order", "CF")
def test_npy_comes_back_byte_for_byte(shape, dtype, order, check_file):
    array = np.array(counting(shape, dtype), order=order)
    picture = check_file(npy(array), "a.npy", exact=True)
    assert picture.parts[0].dtype == (np.uint16 if array.itemsize == 2 else np.uint8)
    again = np.load(io.BytesIO(write(picture.recipe, picture.blob, picture.parts)))
    assert again.dtype == array.dtype and np.array_equal(again, array)
    assert again.flags.f_contiguous == array.flags.f_contiguous


@pytest.mark.parametrize("order", "CF")
def test_the_images_are_the_arrays_images(order, check_file):
    grey = counting((6, 28, 28), "u1")
    assert np.array_equal(check_file(npy(np.array(grey, order=order))).parts[0], grey[..., None])
    colour = counting((9, 8, 3), ">u2")
    assert np.array_equal(check_file(npy(np.array(colour, order=order))).parts[0], colour[None])
    torch = counting((5, 3, 8, 7), "u1")
    assert np.array_equal(check_file(npy(np.array(torch, order=order))).parts[0], np.moveaxis(torch, 1, 3))


@given(st.lists(st.integers(1, 9), min_size=2, max_size=8))
def test_no_sample_is_lost_in_any_shape(axes):
    shape, order = as_images(axes)
    assert np.prod(shape) == np.prod(axes) and sorted(order) == sorted("nhwc") and 1 <= shape[3] <= 4


def test_versions_and_trailing_bytes(check_file):
    array = counting((3, 4, 5), "u1")
    for version in ((1, 0), (2, 0), (3, 0)):
        check_file(npy(array, version=version) + b"trailing", exact=True)


@pytest.mark.parametrize("dtype", OTHER_TYPES)
def test_other_types_are_kept(dtype, kept):
    kept(npy(np.zeros((3, 4, 5), dtype)), "an array of type" if isinstance(dtype, str) else "unusual", "a.npy")


def test_pickles_are_kept_and_never_opened(kept):
    class Trap:
        def __reduce__(self):
            return print, ("opened",)

    kept(npy(np.array([[Trap()]], object), allow_pickle=True), "an array of type |O", "a.npy")


def test_damaged_and_other_npy_files_are_kept(kept):
    good = npy(counting((3, 4, 5), "u1"))
    kept(good[:-1], "ends 1 bytes before", "a.npy")
    kept(good[:40], "damaged NumPy header", "a.npy")
    kept(good[:6] + b"\x09" + good[7:], "unknown version", "a.npy")
    kept(good.replace(b"(3, 4, 5)", b"(3,-4, 5)"), "damaged NumPy header", "a.npy")
    kept(good.replace(b"(3, 4, 5), }", b"(9999999999999,3,4)}"), "before its pixels do", "a.npy")
    kept(npy(np.zeros((0, 4, 5), "u1")), "no pixels", "a.npy")
    kept(npy(np.zeros(7, "u1")), "an array of 1 axes", "a.npy")
    kept(npy(np.array(7, "u1")), "an array of 0 axes", "a.npy")


def test_idx(check_file):
    for axes in ((3, 5, 4), (2, 5, 4, 3)):
        array = counting(axes, "u1")
        data = bytes([0, 0, 8, len(axes)]) + b"".join(n.to_bytes(4, "big") for n in axes) + array.tobytes()
        picture = check_file(data, "images-idx3-ubyte", exact=True)
        assert np.array_equal(picture.parts[0], array.reshape(picture.parts[0].shape))


def test_damaged_idx_files_are_kept(kept):
    data = b"\0\0\x08\x03" + b"\0\0\0\1" * 3
    kept(data, "promises 1 bytes before 0", "t-idx3-ubyte")
    kept(data[:9], "ends within the IDX header", "t-idx3-ubyte")
    kept(b"\0\0\x08\x03" + bytes(12), "no pixels", "t-idx3-ubyte")


def test_from_array():
    array = counting((4, 6, 5), ">u2")[:, ::-1]
    picture = from_array(array)
    assert np.array_equal(picture.parts[0][..., 0], array)
    again = np.load(io.BytesIO(write(picture.recipe, picture.blob, picture.parts)))
    assert again.dtype == array.dtype and np.array_equal(again, array)
    assert from_array(np.zeros(3, "u1")).raw == npy(np.zeros(3, "u1"))
    with pytest.raises(ImageError, match="cannot be stored"):
        from_array(np.array([None]))


def test_similar_arrays_share_a_recipe():
    shapes = itertools.product((10, 20), (28, 32))
    recipes = [from_array(np.zeros((n, side, side), np.uint8)).recipe for n, side in shapes]
    assert all(recipe == {"format": "npy", "head": 128, "layout": {}} for recipe in recipes)


def test_arrays_that_would_not_come_back_are_refused_by_name():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    images = np.zeros((3, 4, 5))
    for array, reason in {
        "mask": (np.ma.masked_array(images, images == 0), "masked array"),
        "no mask": (np.ma.masked_array(images), "masked array"),
        "objects": (np.array([1, "a", None], object), "Python objects"),
        "objects within": (np.zeros(3, [("a", "u1"), ("b", object)]), "Python objects"),
        "text": (np.array(["a", "bc"], np.dtypes.StringDType()), "cannot be stored"),
        "bfloat16": (images.astype(ml_dtypes.bfloat16), r"an array of bfloat16 .*view\(np.uint16\)"),
        "float8": (images.astype(ml_dtypes.float8_e4m3fn), r"an array of float8_e4m3fn .*view\(np.uint8\)"),
        "within": (np.zeros(3, [("a", "u1"), ("b", ml_dtypes.bfloat16)]), "cannot be stored"),
    }.values():
        for attempt in (check_array, npy_bytes, from_array):
            with pytest.raises(ImageError, match=reason):
                attempt(array)


@pytest.mark.parametrize(
    "dtype", ["u1", ">u2", "<i4", "f2", "c16", "M8[ns]", "S3", "U2", [("a", "u1"), ("b", "<f4", 2)]]
)
def test_arrays_that_are_stored(dtype):
    array = np.zeros((3, 4), dtype)
    picture = from_array(array)
    data = picture.raw if picture.raw is not None else write(picture.recipe, picture.blob, picture.parts)
    again = np.load(io.BytesIO(data))
    assert again.dtype == array.dtype and np.array_equal(again, array)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=5),
    st.sampled_from(["?", "u1", "<u2", ">u2"]),
    st.permutations(range(5)),
    st.integers(1, 2),
)
def test_an_array_is_what_its_file_is(shape, dtype, order, step):
    """Whatever the order in memory, and whether there are gaps."""
    samples = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    array = samples.transpose([axis for axis in order if axis < len(shape)])[::step]
    picture, same = from_array(array), parse(npy_bytes(array))
    assert (picture.recipe, picture.blob, picture.exact) == (same.recipe, same.blob, same.exact)
    assert len(picture.parts) == len(same.parts) and all(map(np.array_equal, picture.parts, same.parts))


def test_an_array_is_not_copied():
    array = np.random.default_rng(0).integers(0, 256, (4, 28, 28)).astype(np.uint8)
    for stored in (array, array.astype(np.uint16), array[:, :, :, None]):
        (part,) = from_array(stored).parts
        assert np.shares_memory(part, stored) and not part.flags.writeable
