import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bitsback.data.sources import Item
from bitsback.errors import ImageError
from bitsback.training.collection import (
    Collection,
    Kind,
    describe,
    in_order,
    load,
    look,
    matches,
    prepare,
    spread,
)

RNG = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, np.uint8)


def save(folder: Path, **images: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        Image.fromarray(image).save(folder / f"{name}.png")


def names(c: Collection) -> list[str]:
    return [c.name(i) for i in range(len(c))]


# Opening --------------------------------------------------------------------------------------------------------------


def test_numbers_in_names_count_by_their_value(tmp_path: Path) -> None:
    save(tmp_path / "f", frame10=noise(4, 4), frame9=noise(4, 4), a=noise(4, 4))
    save(tmp_path / "f" / "deep", frame1=noise(4, 4))
    c = Collection.open([tmp_path / "f"])
    assert names(c) == ["f/a.png", "f/deep/frame1.png", "f/frame9.png", "f/frame10.png"]
    assert c.read(0).shape == (4, 4, 1)
    with pytest.raises(IndexError):
        c.read(4)
    with pytest.raises(IndexError):
        c.read(-1)


def test_two_folders_of_one_name(tmp_path: Path) -> None:
    save(tmp_path / "a" / "x", one=noise(4, 4))
    save(tmp_path / "b" / "x", one=noise(4, 4))
    c = Collection.open([tmp_path / "a" / "x", tmp_path / "b" / "x", tmp_path / "a" / "x"])
    assert names(c) == ["x/one.png", f"{tmp_path.as_posix()}/b/x/one.png"]


def test_a_pattern_with_braces(tmp_path: Path) -> None:
    save(tmp_path, **{f"s{k:02d}": noise(4, 4) for k in range(12)})
    c = Collection.open(str(tmp_path / "s{09..11}.{png,gif}").replace(",gif", ",png"))
    assert names(c) == ["s09.png", "s10.png", "s11.png"]
    assert len(Collection.open([tmp_path / "s*.png"])) == 12
    with pytest.raises(ImageError, match="no such file"):
        Collection.open([tmp_path / "s{11..12}.png"])
    with pytest.raises(ImageError, match="names"):
        Collection.open([tmp_path / "s{0..99999999999}.png"])


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    save(tmp_path / "f", a=noise(4, 4))
    (tmp_path / "f" / "notes.txt").write_text("hello")
    (tmp_path / "f" / "empty").mkdir()
    c = Collection.open([tmp_path / "f"])
    assert {(one.name, one.reason) for one in c.skipped} == {
        ("f/notes.txt", "not an image"),
        ("f/empty", "empty folder"),
    }
    (tmp_path / "f" / "a.png").unlink()
    with pytest.raises(ImageError, match=r"no images.*and 1 more"):
        Collection.open([tmp_path / "f"])


def test_images_in_memory() -> None:
    images = noise(5, 6, 4, 3)
    c = Collection.of_array(images, "tile")
    assert names(c) == [f"tile[{i}]" for i in range(5)]
    np.testing.assert_array_equal(c.read(2), images[2])
    assert Collection.of_array([noise(3, 3), noise(5, 4)]).read(1).shape == (5, 4, 1)
    with pytest.raises(ImageError, match=r"image\[0\].*float64"):
        Collection.of_array(np.zeros((2, 3, 3))).read(0)
    with pytest.raises(ImageError, match="no images"):
        Collection.of_array([])


# Kinds ----------------------------------------------------------------------------------------------------------------

TWO = np.array([[[3], [9]], [[9], [3]]], np.uint8)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (Item(noise(4, 4, 1)), "8-bit grey"),
        (Item(noise(4, 4, 4)), "8-bit RGBA"),
        (Item(noise(4, 4, 3).astype(np.uint16)), "16-bit RGB"),
        (Item(noise(4, 4, 1), palette=True), "palette"),
        (Item(TWO, palette=True), "two-valued grey"),
        (Item(TWO, alone=False), "8-bit grey"),
        (Item(TWO.repeat(3, 2)), "two-valued RGB"),
    ],
)
def test_kinds_in_words(item: Item, words: str) -> None:
    assert describe(item) == words


def test_what_matches() -> None:
    assert matches(TWO, Kind(1, 2)) and matches(TWO, Kind(1))
    assert not matches(TWO, Kind(3))
    assert not matches(noise(4, 4, 1), Kind(1, 2))
    assert not matches(noise(4, 4, 1).astype(np.uint16), Kind(1))


def test_images_are_prepared_as_the_archive_offers_them() -> None:
    assert prepare(Item(TWO), Kind(1, 2))[..., 0].tolist() == [[0, 1], [1, 0]]
    assert prepare(Item(TWO, alone=False), Kind(1)) is not None
    with pytest.raises(ImageError, match="two-valued grey, not 8-bit grey"):
        prepare(Item(TWO), Kind(1))
    with pytest.raises(ImageError, match="8-bit RGB, not 8-bit grey"):
        prepare(Item(noise(4, 4, 3)), Kind(1))
    with pytest.raises(ImageError, match="palette"):
        prepare(Item(noise(4, 4, 1), palette=True), Kind(1))
    for value, bit in ((0, 0), (1, 1), (255, 1)):
        blank = Item(np.full((2, 2, 1), value, np.uint8))
        assert (prepare(blank, Kind(1, 2)) == bit).all()
        assert (prepare(blank, Kind(1)) == value).all()


def test_prepared_images_are_the_same_that_the_archive_codes(tmp_path: Path) -> None:
    """A two-valued image in a file goes to a model as the planner's levels say."""
    from bitsback.archive.plan import Planner
    from bitsback.files import parse

    Image.fromarray(np.array(TWO[..., 0])).save(tmp_path / "x.png")
    part = parse((tmp_path / "x.png").read_bytes()).parts[0]
    pair = Planner()._key(part).levels
    assert pair is not None
    item = Collection.open([tmp_path]).item(0)
    np.testing.assert_array_equal(prepare(item, Kind(1, 2)), (part[0] == pair[1]).astype(np.uint8))


# Reading many ---------------------------------------------------------------------------------------------------------


@given(st.integers(0, 100), st.integers(1, 4))
def test_results_come_in_order(count: int, threads: int) -> None:
    assert list(in_order(lambda x: x * x, range(count), threads)) == [x * x for x in range(count)]


def test_threads_are_hardly_ahead_and_end_when_nobody_asks() -> None:
    before, taken = threading.active_count(), 0

    def numbers():
        nonlocal taken
        while True:
            taken += 1
            yield taken

    results = in_order(lambda x: x, numbers(), 2)
    assert next(results) == 1
    assert taken < 100
    results.close()
    time.sleep(0.01)
    assert threading.active_count() == before


def test_load(tmp_path: Path) -> None:
    save(tmp_path, a=noise(6, 5), b=noise(4, 4, 3), c=noise(3, 3))
    (tmp_path / "d.png").write_bytes(b"nothing")
    c = Collection.open([tmp_path])
    told: list[tuple[int, int]] = []
    images, numbers, skipped = load(c, [2, 3, 1, 0], Kind(1), lambda done, total: told.append((done, total)))
    assert numbers.tolist() == [2, 0] and numbers.dtype == np.int64
    assert [image.shape for image in images] == [(3, 3, 1), (6, 5, 1)]
    assert all(image.flags.writeable and image.flags.c_contiguous for image in images)
    folder = tmp_path.name
    assert [(s.name, s.reason) for s in skipped] == [
        (f"{folder}/d.png", "not an image"),
        (f"{folder}/b.png", "8-bit RGB, not 8-bit grey"),
    ]
    assert told == [(k, 4) for k in range(1, 5)]


def test_loading_stops_where_memory_would() -> None:
    c = Collection.of_array(noise(50, 4, 4))
    assert len(load(c, range(50), Kind(1), samples=5 * 16 + 3).images) == 5
    assert len(load(c, range(50), Kind(1), samples=1).images) == 1


@given(st.integers(0, 300), st.integers(1, 300), st.integers(0, 3))
def test_a_sample_is_spread(total: int, count: int, seed: int) -> None:
    found = spread(total, count, seed)
    assert len(found) == min(total, count)
    assert (np.diff(found) > 0).all()
    if 0 < count <= total:
        part = total / count
        assert all(abs(n - (k + 0.5) * part) < part + 1 for k, n in enumerate(found.tolist()))


# Looking --------------------------------------------------------------------------------------------------------------


def test_the_majority_and_the_others(tmp_path: Path) -> None:
    save(tmp_path, **{f"x{k}": noise(8 + k, 9, 3) for k in range(7)})
    save(tmp_path, grey=noise(8, 8), alpha=noise(8, 8, 4), deep=noise(8, 8).astype(np.uint16) * 257)
    Image.fromarray(noise(8, 8, 3)).quantize(9).save(tmp_path / "palette.png")
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    s = look(Collection.open([tmp_path]))
    assert s.kind == Kind(3)
    assert s.others == {"8-bit grey": 1, "8-bit RGBA": 1, "16-bit grey": 1, "palette": 1}
    assert (s.images, s.looked) == (12, 12)
    assert [one.name.rpartition("/")[2] for one in s.skipped] == ["damaged.png"]
    assert s.shape is None and s.heights == (8, 11, 14) and s.widths == (9, 9, 9) and s.edge == 11
    assert s.mean_samples == 11 * 9 * 3
    assert s.words.startswith("12 images, 8-bit RGB, 9 x 8 to 14 pixels; of 12 looked at are left out: ")
    assert "1 16-bit grey" in s.words and "1 unreadable" in s.words


def test_drawings_are_told_from_photos() -> None:
    photo = look(Collection.of_array(noise(30, 20, 30)))
    assert photo.flat < 0.02 and photo.flat_above < 0.02 and photo.distinct > 200
    drawing = look(Collection.of_array(noise(30, 20, 1, 3).repeat(30, 2)))
    assert drawing.flat == 1 and drawing.flat_above < 0.02
    assert drawing.shape == (20, 30, 3)
    assert "left out" not in drawing.words


def test_arrays_of_two_values_and_blank_images() -> None:
    two = (noise(30, 8, 8) > 100) * np.uint8(255)
    two[3] = 0
    assert look(Collection.of_array(two)).kind == Kind(1, 2)
    two[5, 0, 0] = 7  # one image of three values: so is the array
    assert look(Collection.of_array(two)).kind == Kind(1)
    grey = noise(5, 8, 8)
    grey[2:] = 255
    s = look(Collection.of_array(grey))
    assert s.kind == Kind(1) and not s.others


def test_two_valued_files(tmp_path: Path) -> None:
    save(tmp_path, **{f"x{k}": noise(8, 8) > 100 for k in range(3)}, blank=np.zeros((8, 8), bool), grey=noise(8, 8))
    s = look(Collection.open([tmp_path]))
    assert s.kind == Kind(1, 2)
    assert s.others == {"8-bit grey": 1}


@pytest.mark.parametrize("image", [noise(8, 8).astype(np.uint16) * 256, np.dstack([noise(8, 8) & 128] * 3)])
def test_what_no_model_can_be_for(image: np.ndarray) -> None:
    c = Collection.of_array([image] * 5)
    with pytest.raises(ImageError, match=r"images \(all\): no network models these yet; compress"):
        look(c)


def test_nothing_readable(tmp_path: Path) -> None:
    for k in range(3):
        (tmp_path / f"{k}.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"none of 3 images can be read \(.*0\.png: an empty file, and 2 more\)"):
        look(Collection.open([tmp_path]), threads=1)
