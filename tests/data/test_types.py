from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitsback.data.collection import Collection
from bitsback.data.sources import Item
from bitsback.data.types import ImageType, describe, matches, prepare
from bitsback.errors import ImageError
from data.pictures import noise

TWO = np.array([[[3], [9]], [[9], [3]]], np.uint8)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (Item(noise(4, 4, 1)), "8-bit grey"),
        (Item(noise(4, 4, 4)), "8-bit RGBA"),
        (Item(noise(4, 4, 3).astype(np.uint16) * 256), "16-bit RGB"),
        (Item(noise(4, 4, 3).astype(np.uint16)), "8-bit RGB"),
        (Item(noise(4, 4, 1), palette=True), "palette"),
        (Item(TWO, palette=True), "two-valued grey"),
        (Item(TWO, alone=False), "8-bit grey"),
        (Item(TWO.repeat(3, 2)), "two-valued RGB"),
    ],
)
def test_kinds_in_words(item: Item, words: str) -> None:
    assert describe(item) == words


def test_what_matches() -> None:
    assert matches(TWO, ImageType(1, 2)) and matches(TWO, ImageType(1))
    assert not matches(TWO, ImageType(3))
    assert not matches(noise(4, 4, 1), ImageType(1, 2))
    assert not matches(noise(4, 4, 1).astype(np.uint16), ImageType(1))


def test_images_are_prepared_as_the_archive_offers_them() -> None:
    assert prepare(Item(TWO), ImageType(1, 2))[..., 0].tolist() == [[0, 1], [1, 0]]
    assert prepare(Item(TWO, alone=False), ImageType(1)) is not None
    with pytest.raises(ImageError, match="two-valued grey, not 8-bit grey"):
        prepare(Item(TWO), ImageType(1))
    with pytest.raises(ImageError, match="8-bit RGB, not 8-bit grey"):
        prepare(Item(noise(4, 4, 3)), ImageType(1))
    with pytest.raises(ImageError, match="palette"):
        prepare(Item(noise(4, 4, 1), palette=True), ImageType(1))
    narrow = noise(4, 4, 1)
    found = prepare(Item(narrow.astype(np.uint16)), ImageType(1))
    assert found.dtype == np.uint8 and (found == narrow).all()
    with pytest.raises(ImageError, match="16-bit grey, not 8-bit grey"):
        prepare(Item(narrow.astype(np.uint16) + 256), ImageType(1))
    for value, bit in ((0, 0), (1, 1), (255, 1)):
        blank = Item(np.full((2, 2, 1), value, np.uint8))
        assert (prepare(blank, ImageType(1, 2)) == bit).all()
        assert (prepare(blank, ImageType(1)) == value).all()


def test_prepared_images_are_the_same_that_the_archive_codes(tmp_path: Path) -> None:
    """A two-valued image in a file goes to a model as the planner's levels say."""
    from bitsback.archive.intake import data_item
    from bitsback.archive.plan import group

    Image.fromarray(np.array(TWO[..., 0])).save(tmp_path / "x.png")
    stored = data_item((tmp_path / "x.png").read_bytes(), "x.png")
    (planned,) = group([stored.facts()])
    pair = planned.key.levels
    assert pair is not None and stored.picture is not None
    part = stored.picture.parts[0]
    item = Collection.open([tmp_path]).item(0)
    np.testing.assert_array_equal(prepare(item, ImageType(1, 2)), (part[0] == pair[1]).astype(np.uint8))
