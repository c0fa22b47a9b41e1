import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitsback.errors import ImageError
from bitsback.files.raster import (
    Beside,
    Layout,
    Place,
    kept_beside,
    pack,
    pack_beside,
    pack_bits,
    read_place,
    unpack,
    unpack_bits,
    write_place,
)

layouts = st.one_of(
    st.builds(Layout, bits=st.sampled_from([1, 2, 4]), align=st.sampled_from([1, 4]), flip=st.booleans()),
    st.builds(Layout, bits=st.sampled_from([8, 16]), big=st.booleans(), align=st.sampled_from([1, 4])),
    st.builds(
        Layout,
        bits=st.sampled_from([8, 16]),
        big=st.booleans(),
        swap=st.booleans(),
        flip=st.booleans(),
        axes=st.permutations("nhwc").map("".join),
        signed=st.booleans(),
        differences=st.booleans(),
    ),
)


@given(layouts, st.tuples(*[st.integers(1, 6)] * 3), st.sampled_from([1, 2, 3, 4]), st.integers(0, 99))
def test_pack_then_unpack(layout, sizes, channels, seed):
    shape = (*sizes, 3 if layout.swap else channels)
    dtype = np.uint16 if layout.bits == 16 else np.uint8
    images = np.random.default_rng(seed).integers(0, 1 << layout.bits, shape).astype(dtype)
    raster = pack(images, layout)
    assert len(raster) == layout.size(shape)
    again = unpack(raster, shape, layout)
    assert again.dtype == dtype and again.flags.c_contiguous and again.flags.aligned
    assert np.array_equal(again, images)
    assert pack(again, layout) == raster


@given(
    layouts.filter(lambda layout: layout.align > 1 or layout.bits < 8),
    st.booleans(),
    st.integers(1, 9),
    st.integers(0, 99),
)
def test_what_rows_end_in(layout, reverse, width, seed):
    layout = msgspec.structs.replace(layout, reverse=reverse)
    rng = np.random.default_rng(seed)
    shape = (2, 3, width, 1)
    raster = rng.integers(0, 256, layout.size(shape), np.uint8).tobytes()
    images = unpack(raster, shape, layout)
    how, listed = kept_beside(raster, images, layout)
    assert pack_beside(images, layout, how, listed) == raster
    assert len(listed) == how.size(layout, shape) and how.size(layout, shape) in (0, layout.beside(shape))
    for rule in (Beside.ZEROS, Beside.ONES):
        raster = bytes(pack_beside(images, layout, rule, b""))
        assert np.array_equal(unpack(raster, shape, layout), images)
        how, listed = kept_beside(raster, images, layout)
        assert not listed and pack_beside(images, layout, how, b"") == raster


def test_rows_that_end_in_ones():
    image = np.array([0, 1, 0], np.uint8).reshape(1, 1, 3, 1)
    for layout, raster in ((Layout(1, align=4), b"\x5f\xff\xff\xff"), (Layout(1, reverse=True), b"\xfa")):
        assert kept_beside(raster, image, layout) == (Beside.ONES, b"")
        assert pack_beside(image, layout, Beside.ONES, b"") == raster


def test_known_bytes():
    image = np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3)
    assert pack(image, Layout(swap=True)) == b"\2\1\0\5\4\3"
    assert pack(image, Layout(align=4)) == b"\0\1\2\3\4\5\0\0"
    assert pack(image, Layout(axes="nchw")) == b"\0\3\1\4\2\5"
    assert pack(image.astype(np.uint16), Layout(bits=16, big=True)) == b"\0\0\0\1\0\2\0\3\0\4\0\5"
    assert pack(image.reshape(1, 3, 2, 1), Layout(flip=True)) == b"\4\5\2\3\0\1"


@pytest.mark.parametrize(("bits", "packed"), [(1, b"\xa0"), (2, b"\x44"), (4, b"\x10\x10")])
def test_the_first_sample_is_in_the_high_bits(bits, packed):
    row = np.array([[1, 0, 1]], np.uint8)
    assert pack_bits(row, bits).tobytes() == packed
    assert np.array_equal(unpack_bits(np.frombuffer(packed, np.uint8).reshape(1, -1), 3, bits), row)


def test_samples_that_do_not_fit():
    with pytest.raises(ValueError, match="does not fit"):
        pack_bits(np.array([[4]], np.uint8), 2)
    with pytest.raises(ValueError, match="do not fit"):
        pack(np.zeros((1, 1, 1, 1), np.uint16), Layout())
    with pytest.raises(ValueError, match="only colours"):
        pack(np.zeros((1, 1, 1, 2), np.uint8), Layout(swap=True))


@pytest.mark.parametrize(
    "fields", [{"bits": 17}, {"bits": 3, "signed": True}, {"align": 2}, {"axes": "nhww"}, {"bits": 1, "axes": "nchw"}]
)
def test_impossible_layouts(fields):
    with pytest.raises(ValueError, match="impossible"):
        Layout(**fields)


def test_natural_rasters_are_views():
    data = b"head" + bytes(range(24)) + b"tail"
    content = read_place("npy", data, Place(4, (2, 3, 4, 1), Layout()))
    assert content.sure and not content.parts[0].flags.owndata
    assert content.blob == b"headtail" and content.recipe == {"format": "npy", "head": 4, "layout": {}}
    assert write_place(content.recipe, content.blob, content.parts) == data


def test_files_that_are_not_mainly_their_raster():
    with pytest.raises(ImageError, match="no pixels"):
        read_place("npy", b"abc", Place(3, (0, 3, 4, 1), Layout()))
    with pytest.raises(ImageError, match="ends 10 bytes before"):
        read_place("npy", b"abcde", Place(3, (1, 3, 4, 1), Layout()))
    with pytest.raises(ImageError, match="most of the file"):
        read_place("npy", bytes(100_000), Place(3, (1, 3, 4, 1), Layout()))
    with pytest.raises(ValueError, match="longer than the blob"):
        write_place({"head": 4, "layout": {}}, b"abc", [np.zeros((1, 1, 1, 1), np.uint8)])
