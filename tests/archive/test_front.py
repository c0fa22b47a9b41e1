import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.archive import front
from bitsback.archive.fields import Cursor
from bitsback.archive.front import Colours, Enlarged, Form, Less, Levels, Planes, YCbCr, apply, candidates, forms, undo
from bitsback.errors import CodecError, FormatError, UnsupportedVersionError
from bitsback.kinds import ycbcr
from bitsback.kinds.base import Images, Lot
from bitsback.kinds.lots import lots_of
from bitsback.kinds.plain import CODER
from bitsback.kinds.varint import varint

dtypes = st.sampled_from([np.uint8, np.uint16])


def sparse(shape: tuple[int, ...], dtype: type, values: int, seed: int = 0) -> Images:
    """Images (n, H, W, C) of few levels, others in each channel."""
    rng = np.random.default_rng(seed)
    tables = [rng.choice(np.iinfo(dtype).max + 1, values, replace=False) for _ in range(shape[3])]
    return np.stack([table[rng.integers(0, values, shape[:3])] for table in tables], axis=3).astype(dtype)


@settings(deadline=None)
@given(dtypes, st.integers(1, 4), st.integers(1, 40), st.booleans())
def test_ranks_come_back(dtype: type, channels: int, values: int, joint: bool) -> None:
    lots = [sparse((2, 5, 7, channels), dtype, values), sparse((1, 3, 2, channels), dtype, values)]
    every = [sorted({int(v) for images in lots for v in images[..., c].flat}) for c in range(channels)]
    tables = [sorted(set().union(*every))] if joint else every
    step = Levels(tuple(map(tuple, tables)))
    form = Form(channels, np.dtype(dtype).itemsize)
    coded = apply((step,), lots)
    assert {images.dtype.name for images in coded} == {forms((step,), form)[-1].dtype}
    assert max(int(images.max()) for images in coded) < (step.form(form).levels or 0)
    for c in range(channels):  # the order is that of the values
        order = np.argsort(lots[0][..., c], axis=None, kind="stable")
        assert (np.diff(coded[0][..., c].flat[order].astype(int)) >= 0).all()
    decoded = undo((step,), coded, form)
    assert all(map(np.array_equal, decoded, lots)) and {images.dtype for images in decoded} == {np.dtype(dtype)}
    written = front.encode((step,))
    assert front.read(Cursor(written)) == (step,)


def test_sixteen_bits_become_eight() -> None:
    assert Levels((tuple(range(256)),)).form(Form(1, 2)) == Form(1, 1, 256)
    assert Levels((tuple(range(257)),)).form(Form(1, 2)) == Form(1, 2, 257)
    step = Levels((tuple(range(0, 1000, 2)), (5,)))
    assert step.form(Form(2, 2)) == Form(2, 2, 500)
    assert step.apply(np.array([[[[998, 5]]]], np.uint16)).tolist() == [[[[499, 0]]]]


def test_ranks_that_are_not_there() -> None:
    step = Levels(((3, 5), (0, 1, 9)))
    assert undo((step,), [np.array([[[[1, 2]]]], np.uint8)], Form(2, 1))[0].tolist() == [[[[5, 9]]]]
    for bad in ([2, 0], [0, 3], [255, 255]):
        with pytest.raises(FormatError, match="no level"):
            undo((step,), [np.array([[[bad]]], np.uint8)], Form(2, 1))


@settings(deadline=None)
@given(dtypes, st.integers(3, 5), st.integers(0, 99))
def test_colours_come_back(dtype: type, channels: int, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (2, 4, 5, channels)).astype(dtype)
    form = Form(channels, np.dtype(dtype).itemsize)
    (coded,) = apply((Less(),), [images])
    assert coded.dtype == dtype and Less().form(form) == form
    red = (images[..., 0].astype(int) - images[..., 1]) % (np.iinfo(dtype).max + 1)
    assert np.array_equal((coded[..., 0].astype(int) - np.iinfo(dtype).max // 2 - 1) % (np.iinfo(dtype).max + 1), red)
    assert np.array_equal(coded[..., 1], images[..., 1]) and np.array_equal(coded[..., 3:], images[..., 3:])
    assert np.array_equal(undo((Less(),), [coded], form)[0], images)
    assert front.read(Cursor(front.encode((Less(),)))) == (Less(),)


@pytest.mark.parametrize("before", [(Planes(),), (Less(), Planes()), (Levels((tuple(range(300)),)), Less(), Planes())])
def test_channels_apart(before: front.Front) -> None:
    """Each is a payload of its own: of lots of one channel, perhaps of fewer bits."""
    rng = np.random.default_rng(0)
    lots = [rng.integers(0, 250, (2, 5, 6, 3)).astype(np.uint16), rng.integers(0, 250, (1, 3, 4, 3)).astype(np.uint16)]
    form = Form(3, 2)
    payload = front.encode_behind(before, CODER, lots)
    size = forms(before, form)[-1].sample_bytes * (60 + 12)
    assert forms(before, form)[-1].channels == 1
    assert len(payload) == 3 * (size + 2 + len(varint(size + 2)))
    wanted = lots_of(lots)
    assert all(map(np.array_equal, front.decode_behind(before, CODER, payload, wanted, form), lots))
    for bad in (payload[:-1], payload + b"x", b""):
        with pytest.raises(FormatError):
            front.decode_behind(before, CODER, bad, wanted, form)
    assert front.read(Cursor(front.encode(before))) == before
    with pytest.raises(FormatError, match="another step"):
        forms((*before, Less()), form)


@settings(deadline=None)
@given(dtypes, st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_enlarged_images_come_back(dtype: type, down: int, across: int, seed: int) -> None:
    """They are found to be, and are coded as what was enlarged."""
    rng = np.random.default_rng(seed)
    small = [rng.integers(0, 9, (2, 5, 7, 3)).astype(dtype), rng.integers(0, 9, (1, 4, 3, 3)).astype(dtype)]
    lots = [images.repeat(down, axis=1).repeat(across, axis=2) for images in small]
    before = front.enlarged(lots)
    assert before == ((Enlarged(down, across),) if max(down, across) > 1 else ())
    form = Form(3, np.dtype(dtype).itemsize)
    assert front.read(Cursor(front.encode((Enlarged(down, across),)))) == (Enlarged(down, across),)
    for steps in (before, (*before, Planes()), (*before, Colours(False, 2))):
        payload = front.encode_behind(steps, CODER, lots)
        assert all(map(np.array_equal, front.decode_behind(steps, CODER, payload, lots_of(lots), form), lots))
    assert front.encode_behind(before, CODER, lots) == front.encode_behind((), CODER, small)


def test_enlarged_images_have_multiples_of_a_size() -> None:
    blank = np.zeros((1, 700, 6, 1), np.uint8)
    assert front.enlarged([blank]) == (Enlarged(175, 6),)
    assert front.enlarged([blank, blank[:, :300]]) == (Enlarged(100, 6),)
    assert front.enlarged([blank[:, :, :1], blank[:, :77, :1]]) == (Enlarged(7, 1),)
    with pytest.raises(FormatError, match="another size"):
        front.decode_behind((Enlarged(2, 2),), CODER, bytes(3), [Lot(1, (4, 3, 1))], Form(1, 1))
    for bad in (varint(0) + varint(1), varint(1) + varint(256)):
        with pytest.raises(FormatError, match="enlarged"):
            front.read(Cursor(varint(1) + b"\5" + bad))


@given(st.integers(3, 5), st.integers(0, 3), st.sampled_from(ycbcr.SHARED), st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_images_that_were_ycbcr_come_back(channels: int, matrix: int, shared: tuple[int, int], seed: int) -> None:
    """Also if several pixels share a chroma, and the last rows and columns are too few for that."""
    rng = np.random.default_rng(seed)
    form, (down, across), lots = Form(channels, 1), shared, []
    for n, height, width in ((2, 5, 8), (1, 6, 7)):
        there = rng.integers(0, 256, (n, height, width, channels), np.uint8)
        chroma = rng.integers(90, 160, (n, 3, 4, 2), np.uint8).repeat(down, axis=1).repeat(8, axis=1)
        there[..., 1:3] = chroma[:, :height].repeat(across, axis=2).repeat(2, axis=2)[:, :, :width]
        lots.append(YCbCr(matrix).undo(there, form))
    assert front.read(Cursor(front.encode((YCbCr(matrix), Planes(*shared))))) == (YCbCr(matrix), Planes(*shared))
    for steps in ((YCbCr(matrix),), (YCbCr(matrix), Planes()), (Levels((tuple(range(256)),)), YCbCr(matrix))):
        payload = front.encode_behind(steps, CODER, lots)
        assert all(map(np.array_equal, front.decode_behind(steps, CODER, payload, lots_of(lots), form), lots))


@given(st.integers(0, 3), st.sampled_from(ycbcr.SHARED), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_shared_chroma_is_coded_once(matrix: int, shared: tuple[int, int], height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    there = rng.integers(30, 220, (2, height, width, 4), np.uint8)
    chroma = rng.integers(110, 140, (2, 9, 9, 2), np.uint8).repeat(shared[0], axis=1).repeat(shared[1], axis=2)
    there[..., 1:3] = chroma[:, :height, :width]
    lots = [YCbCr(matrix).undo(there, Form(4, 1))]
    steps = (YCbCr(matrix), Planes(*shared))
    assert candidates(lots, decoded=(matrix, *shared))[-1] == (steps if shared != (1, 1) else steps[:1])
    payload = front.encode_behind(steps, CODER, lots)
    assert len(payload) <= 2 * (2 * height * width + 2 * (-(-height // shared[0]) * -(-width // shared[1]))) + 9
    (back,) = front.decode_behind(steps, CODER, payload, lots_of(lots), Form(4, 1))
    assert (back == lots[0]).all()


def test_images_that_were_not_ycbcr() -> None:
    with pytest.raises(CodecError, match="not YCbCr"):
        apply((YCbCr(0),), [np.random.default_rng(0).integers(1, 255, (1, 9, 9, 3), np.uint8)])
    with pytest.raises(UnsupportedVersionError, match="matrix 4"):
        front.read(Cursor(bytes([1, YCbCr.OP, 4])))
    for bad in (varint(0) + varint(1), varint(1) + varint(256)):
        with pytest.raises(FormatError, match="rows or columns"):
            front.read(Cursor(varint(1) + b"\3" + bad))


def test_steps_that_do_not_fit() -> None:
    for step, form in (
        (YCbCr(0), Form(2, 1)),
        (YCbCr(0), Form(3, 2)),
        (Levels(((1, 2), (1, 2))), Form(3, 1)),
        (Levels(((1, 256),)), Form(3, 1)),
        (Levels(()), Form(1, 1)),
        (Levels(((),)), Form(1, 1)),
        (Less(), Form(2, 1)),
    ):
        with pytest.raises(FormatError):
            forms((step,), form)


def test_what_may_pay() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (1, 60, 70, 3), np.uint8)
    assert candidates([photo]) == [()]
    eight = Levels((tuple(range(256)),))
    assert candidates([photo.astype(np.uint16)]) == [(eight,)]
    stretched = photo // 2 * 2
    plain, (step,) = candidates([stretched])
    assert plain == () and step == Levels((tuple(range(0, 256, 2)),))
    halved = photo.copy()
    halved[..., 0] = photo[..., 1] + photo[..., ::2, 0].repeat(2, axis=2)
    halved[..., 2] = photo[..., 1] + photo[..., ::2, 2].repeat(2, axis=2)
    assert candidates([halved]) == [(), (Less(), Planes())]
    stretched[..., 1] //= 2
    assert candidates([stretched])[1] == (Levels((step.tables[0], tuple(range(128)), step.tables[0])),)
    assert candidates([photo % 4 + 2], (2, 5)) == [(Levels(((2, 5),)),)]
    assert candidates([np.zeros((1, 1, 1, 1), np.uint8)], (7, 7)) == [(Levels(((7,),)),)]
    deep = np.arange(70_000, dtype=np.uint32).astype(np.uint16).reshape(1, 100, 700, 1)
    assert candidates([deep]) == [()]
    even = deep // 2 * 2
    assert candidates([even[:, :50], even[:, 50:]])[1:] == [(Levels((tuple(range(0, 65536, 2)),)),)]


@settings(deadline=None, max_examples=10)
@given(dtypes, st.integers(1, 5), st.booleans(), st.integers(1, 20))
def test_pixels_by_their_colours(dtype: type, channels: int, own: bool, count: int) -> None:
    """In one table or in each image's own, behind other steps too; and what damage does to that."""
    rng = np.random.default_rng(count)
    table = rng.integers(0, 300, (count, channels)).astype(dtype)
    lots = [table[rng.integers(0, count, (2, 4, 5))], table[rng.integers(0, count, (1, 3, 2))]]
    form = Form(channels, np.dtype(dtype).itemsize)
    levels = Levels((tuple(range(256 if dtype == np.uint8 else 300)),))
    for before in ((Colours(own, 1),), (levels, Colours(own, 2))):
        payload = front.encode_behind(before, CODER, lots)
        wanted = lots_of(lots)
        assert all(map(np.array_equal, front.decode_behind(before, CODER, payload, wanted, form), lots))
        assert forms(before, form)[-1] == Form(1, before[-1].sample_bytes)
        assert front.read(Cursor(front.encode(before))) == before
        for bad in (payload[:-1], payload + b"x", b"", bytes(1) + payload[1:], payload[:-1] + b"\xff"):
            with pytest.raises(FormatError):
                front.decode_behind(before, CODER, bad, wanted, form)
        with pytest.raises(FormatError, match="another step"):
            forms((*before, Colours(own, 1)), form)


def test_frequent_colours_come_first() -> None:
    pixels = np.array([[5, 5], [9, 9], [9, 9], [7, 1]], np.uint8).reshape(1, 2, 2, 2)
    tables, (places,), _ = Colours(False, 1).split([pixels])
    assert tables[0].tolist() == [[9, 9], [5, 5], [7, 1]] and places.ravel().tolist() == [1, 0, 0, 2]
    assert Colours(True, 1).split([pixels])[0][0].tolist() == [[5, 5], [7, 1], [9, 9]]


def test_a_table_is_no_larger_than_its_images() -> None:
    with pytest.raises(FormatError, match="more colours than there are pixels"):
        Colours(True, 1).decode_tables(Cursor(varint(2) + varint(5)), [Lot(1, (1, 1, 3))], Form(3, 1))
    with pytest.raises(FormatError, match="1 or 2 bytes"):
        front.read(Cursor(b"\1\4\3"))


def test_rare_colours_are_listed() -> None:
    rng = np.random.default_rng(0)
    table = rng.integers(0, 256, (400, 3)).astype(np.uint8)
    drawn = [rng.integers(0, 100, (2, 60, 50)), rng.integers(0, 100, (1, 50, 50))]
    drawn[0][0, 3, ::2], drawn[1][0, 7, :] = np.arange(100, 125), np.arange(125, 175)
    drawn[0][1, :50, :5] = np.arange(150, 400).reshape(50, 5)
    drawn[0][1, 50:, :5] = 3
    lots = [table[places] for places in drawn]
    lots = [*lots, *(table[rng.integers(0, 100, (1, 90, 90))] for _ in range(3))]
    (_, before, _) = candidates(lots, None, True)
    assert before == (Colours(False, 1, True),) and front.read(Cursor(front.encode(before))) == before
    payload, wanted = front.encode_behind(before, CODER, lots), lots_of(lots)
    assert all(map(np.array_equal, front.decode_behind(before, CODER, payload, wanted, Form(3, 1)), lots))
    few = [images % 2 for images in lots]
    payload = front.encode_behind(before, CODER, few)
    assert all(map(np.array_equal, front.decode_behind(before, CODER, payload, wanted, Form(3, 1)), few))
    with pytest.raises(FormatError, match="as there should be"):
        front.decode_behind(before, CODER, payload[:-1] + b"\xff", wanted, Form(3, 1))


def test_few_colours_are_offered_as_such() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 2, (3, 20, 20, 3), np.uint8) * 200
    photo = rng.integers(0, 256, (1, 60, 70, 3), np.uint8)
    assert front.few_colours(drawn) and not front.few_colours(photo) and not front.few_colours(drawn[..., :1])
    offered = [(), (Colours(False, 1),), (Colours(True, 1),)]
    assert candidates([drawn], None, True) == offered and candidates([drawn[:1]], None, True) == offered[:2]
