import io
import lzma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import bitsback
from bitsback.errors import FormatError
from bitsback.files import from_array, parse, words, write
from bitsback.files.words import Layout, place


@pytest.fixture(autouse=True)
def of_any_size(monkeypatch):
    monkeypatch.setattr(words, "MIN_BYTES", 0)


TYPES = ["i1", "i2", "i4", "i8", "u4", "u8", "f2", "f4", "f8", "c8", "c16", "M8[s]", "m8[ns]"]
SHAPES = [(7,), (7, 3), (6, 5), (4, 5, 3), (2, 4, 5), (2, 3, 4, 5), (2, 2, 3, 4, 5)]


def npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    return file.getvalue()


def numbers(shape, dtype, seed=0):
    """Any bits at all, and some special ones."""
    dtype = np.dtype(dtype)
    items = np.random.default_rng(seed).integers(0, 256, (int(np.prod(shape)), dtype.itemsize), np.uint8)
    items[::5] = 0
    items[1::7, -1] ^= 128
    return items.reshape(-1).view(dtype.newbyteorder("<")).astype(dtype).reshape(shape)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("byte_order", "<>")
@pytest.mark.parametrize("order", "CF")
def test_every_type_shape_and_order(dtype, byte_order, order, check_file):
    for shape in SHAPES:
        for array in (numbers(shape, dtype), np.zeros(shape, dtype), numbers((1,) * len(shape), dtype).repeat(5, 0)):
            array = np.array(array.astype(np.dtype(dtype).newbyteorder(byte_order)), order=order)
            picture = check_file(npy(array), "a.npy", exact=True)
            assert picture.recipe["format"] == "words"
            again = np.load(io.BytesIO(write(picture.recipe, picture.blob, picture.parts)))
            assert again.dtype == array.dtype and again.tobytes() == array.tobytes()
            assert again.flags.f_contiguous == array.flags.f_contiguous


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(["f2", "f4", "f8", "i2", "i4", "i8", "u8"]).flatmap(
        lambda t: hnp.arrays(t, hnp.array_shapes(max_dims=5))
    )
)
def test_any_array(array):
    picture = from_array(array)
    assert write(picture.recipe, picture.blob, picture.parts) == npy(array)


def test_special_floats_keep_their_bits(check_file):
    array = np.array([0.0, -0.0, np.inf, -np.inf, 5e-324, -5e-324, 1, -1, np.nan])
    array = np.concatenate([array, np.array([0xFFF8000000000001, 0x7FF0000000000001], np.uint64).view(np.float64)])
    check_file(npy(array), "a.npy", exact=True)


def test_few_numbers_become_a_table(check_file):
    labels = np.tile(np.array([5, -3, 10**15]), 100).reshape(30, 10)
    picture = check_file(npy(labels))
    assert picture.recipe["layout"]["table"] == 3
    assert np.array_equal(picture.parts[0][0, ..., 0], np.tile([1, 0, 2], 100).reshape(30, 10))
    digits = (np.random.default_rng(0).integers(0, 256, (9, 28, 28)) / 255).astype("f4")
    picture = check_file(npy(digits))
    assert picture.parts[0].dtype == np.uint8 and picture.parts[0].shape == (9, 28, 28, 1)
    assert np.array_equal(picture.parts[0][..., 0], np.round(digits * 255))


def test_close_numbers_are_one_image(check_file):
    counts = np.random.default_rng(0).integers(-200, 3000, (30, 40))
    (part,) = check_file(npy(counts)).parts
    assert part.dtype == np.uint16 and np.array_equal(part[0, ..., 0], counts - counts.min())


def test_what_is_below_sixteen_bits_is_one_tall_image_for_every_eight(check_file):
    items = np.random.default_rng(0).integers(0, 1 << 37, (2, 5, 6), np.uint64) | np.uint64(1 << 36)
    items[0, 0, 0] = 0
    top, *low = check_file(npy(items)).parts
    assert [part.shape for part in (top, *low)] == [(2, 5, 6, 1)] + 3 * [(1, 10, 6, 1)]
    assert np.array_equal(top[..., 0], items >> np.uint64(21))
    flat = items.reshape(1, 10, 6, 1)
    assert np.array_equal(low[0], flat >> np.uint64(13) & np.uint64(255))
    assert np.array_equal(low[1], flat >> np.uint64(5) & np.uint64(255))
    assert np.array_equal(low[2], (flat & np.uint64(31)) << np.uint64(3))


def test_places():
    assert place([100], 2) == ((1, 100, 1, 2), "nhwc")
    assert place([4, 5], 2) == ((1, 4, 5, 2), "nhwc")
    assert place([3, 4, 5], 1) == ((3, 4, 5, 1), "nhwc")
    assert place([100, 5], 1) == ((1, 100, 5, 1), "nhwc")


def test_few_numbers_are_kept_as_bytes(kept, monkeypatch):
    monkeypatch.undo()
    kept(npy(np.arange(63.0)), "few numbers", "a.npy")


def test_damaged_files_are_kept(kept):
    good = npy(np.arange(12.0).reshape(3, 4))
    kept(good[:-1], "ends 1 bytes before its numbers", "a.npy")
    kept(npy(np.zeros((0, 4))), "no numbers", "a.npy")
    kept(npy(np.array(7.0)), "an array of 0 axes", "a.npy")


def test_recipes_that_do_not_fit_are_refused():
    picture = from_array(np.random.default_rng(0).normal(size=(9, 9)))
    layout = picture.recipe["layout"]
    for changes in ({"bits": 24}, {"kind": "x"}, {"span": 65}, {"axes": "nhw"}, {"table": 1}, {"span": 9}, {"new": 1}):
        with pytest.raises(FormatError):
            write(picture.recipe | {"layout": layout | changes}, picture.blob, picture.parts)
    for recipe, blob, parts in (
        (picture.recipe | {"head": 999}, picture.blob, picture.parts),
        (picture.recipe, b"", picture.parts),
        (picture.recipe, picture.blob, picture.parts[:-1]),
    ):
        with pytest.raises(FormatError):
            write(recipe, blob, parts)
    table = from_array(np.tile([1.0, 2.0], 99))
    with pytest.raises(FormatError, match="beyond the table"):
        write(table.recipe, table.blob, [table.parts[0] + np.uint8(2)])
    with pytest.raises(ValueError, match="impossible"):
        Layout(7, "u")


def test_within_npz_and_gzip(check_file):
    import gzip

    arrays = {
        "field": numbers((5, 6), "f8"),
        "mask": np.ones((5, 6), bool),
        "labels": np.arange(40) % 7,
        "name": np.array("x"),
    }
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, **arrays)
        picture = check_file(file.getvalue(), "a.npz")
        assert len(picture.parts) == 7 + 1 + 1
        with np.load(io.BytesIO(write(picture.recipe, picture.blob, picture.parts))) as again:
            assert all(again[name].tobytes() == array.tobytes() for name, array in arrays.items())
    check_file(gzip.compress(npy(arrays["field"])), "a.npy.gz")


@pytest.mark.parametrize("kind", ["smooth floats", "counts", "labels", "walk"])
def test_smaller_than_xz(kind):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:120, :160]
    array = {
        "smooth floats": (np.sin(x / 20) + np.cos(y / 9) + rng.normal(0, 0.01, x.shape)).astype("f4"),
        "counts": rng.poisson(30 + x / 4).astype("i4"),
        "labels": (y // 40 + x // 32).astype("i8"),
        "walk": np.cumsum(rng.integers(900, 1100, 9000)),
    }[kind]
    archive = bitsback.compress(array)
    assert np.array_equal(bitsback.decompress(archive), array)
    assert len(archive) < len(lzma.compress(npy(array), preset=9)) * (1 if kind == "labels" else 0.95)
    assert parse(npy(array)).note == ""
