import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.errors import FormatError
from bitsback.files import write
from bitsback.files.png_palette import Palette, paint, unpaint


@st.composite
def paletted(draw):
    """Images of indices and their palette: with colours that are not used, that are there twice, in any order."""
    count = draw(st.integers(1, 256))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    colours = random.integers(0, draw(st.sampled_from([2, 9, 256])), (count, 3)).astype(np.uint8)
    if draw(st.booleans()):
        colours = colours[np.argsort(colours.astype(int).sum(axis=1), kind="stable")]
    transparency = None
    if draw(st.booleans()):
        transparency = random.choice([0, 255, 255, 7], draw(st.integers(0, count))).astype(np.uint8).tobytes()
    shapes = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3))
    used = draw(st.integers(1, count))
    parts = [random.integers(0, used, (*shape, 1)).astype(np.uint8) for shape in shapes]
    return parts, Palette(colours.tobytes(), transparency)


@settings(deadline=None, max_examples=150)
@given(paletted())
def test_colours_tell_the_indices(case):
    parts, palette = case
    found = paint(parts, palette)
    used = np.unique(np.concatenate([part.ravel() for part in parts]))
    table = np.frombuffer(palette.colours, np.uint8).reshape(-1, 3)
    if palette.transparency is not None:
        alpha = np.frombuffer(palette.transparency.ljust(len(table), b"\xff"), np.uint8)
        table = np.concatenate([table, alpha[:, None]], axis=1)
    if len(np.unique(table[used], axis=0)) < len(used):
        assert found is None
        return
    painted, said = found
    assert all(np.array_equal(image, table[part[..., 0]]) for image, part in zip(painted, parts, strict=True))
    again, same = unpaint(painted, said)
    assert all(map(np.array_equal, again, parts)) and same == palette


def image_with(order):
    """An image of six colours, so often used as they are bright, and its palette in an order of them."""
    colours = np.array([[200, 0, 9], [0, 10, 0], [90, 90, 90], [250, 250, 250], [1, 1, 1], [60, 0, 60]], np.uint8)
    counts = [5, 2, 3, 6, 1, 4]
    pixels = np.repeat(np.arange(6), counts)[np.random.default_rng(3).permutation(21)]
    place = np.argsort(order(colours.astype(int), np.array(counts), [list(pixels).index(k) for k in range(6)]))
    rank = np.argsort(place)
    return [rank[pixels].astype(np.uint8).reshape(1, 3, 7, 1)], Palette(colours[place].tobytes(), None)


@pytest.mark.parametrize(
    "order",
    [
        lambda colours, counts, firsts: firsts,
        lambda colours, counts, firsts: -counts,
        lambda colours, counts, firsts: colours @ [1 << 16, 1 << 8, 1],
        lambda colours, counts, firsts: colours @ [299, 587, 114],
        lambda colours, counts, firsts: -(colours @ [299, 587, 114]),
    ],
)
def test_usual_orders_take_a_few_bytes(order):
    _, said = paint(*image_with(order))
    assert len(said) == 4


def test_what_is_said_of_a_palette_is_not_trusted():
    painted, said = paint(*image_with(lambda colours, counts, firsts: firsts))
    recipe = {"format": "png", "depth": 8, "colour": 3, "chunks": "PLTE IDAT", "palette": 1}
    for wrong in (b"", b"\x63" + said[1:], said[:1] + b"\x09" + said[2:], said + b"!", b"\0\0\0\1\x63", b"\0\0\0\1\1"):
        with pytest.raises(FormatError):
            write(recipe, bytes([len(wrong)]) + wrong, painted)
    many = np.random.default_rng(0).integers(0, 256, (1, 40, 40, 3), np.uint8)
    with pytest.raises(FormatError, match="more colours"):
        write(recipe, bytes([len(said)]) + said, [many])
