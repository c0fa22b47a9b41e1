import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bitsback.data import split as module
from bitsback.data.collection import Collection
from bitsback.data.split import SIDE, areas, split
from bitsback.data.types import ImageType
from bitsback.errors import ImageError
from helpers import DATA, needs_mnist


def scene(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    """Something like a photo: detail of every size, in colours, on a background that is brighter at the top."""
    rng = np.random.default_rng(seed)
    total = np.linspace(60, -60, height)[:, None, None] * np.ones((1, width, 3))
    for size in (3, 6, 12, 24, 48):
        detail = Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8))
        total += (np.array(detail.resize((width, height), Image.Resampling.BICUBIC)) - 128.0) * (20 / size)
    return np.clip(total + 128, 0, 255).astype(np.uint8)


SCENES = [scene(k) for k in range(60)]


def jpeg(image: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=40)
    return np.array(Image.open(file))


COPIES = {
    "exact": lambda image: image,
    "encoded anew": jpeg,
    "brighter": lambda image: np.clip(image + 15.0, 0, 255).astype(np.uint8),
    "smaller": lambda image: np.array(Image.fromarray(image).resize((75, 60), Image.Resampling.BICUBIC)),
    "larger": lambda image: np.array(Image.fromarray(image).resize((200, 140), Image.Resampling.LANCZOS)),
    "mirrored": lambda image: image[:, ::-1],
    "by a pixel": lambda image: image[1:, 1:],
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_no_copy_of_a_held_out_image_stays(change) -> None:  # type: ignore[no-untyped-def]
    c = Collection.of_array([*SCENES, *map(change, SCENES)])
    found = split(c, ImageType(3), count=10)
    assert found.how == "by a hash of their pixels"
    partners = {(i + 60) % 120 for i in found.held_out.tolist()}
    assert not partners & set(found.train.tolist())
    assert found.twins == len(partners - set(found.held_out.tolist()))
    assert len(found.train) == 120 - 10 - found.twins


def test_different_scenes_are_no_twins() -> None:
    found = split(Collection.of_array(SCENES), ImageType(3))
    assert found.twins == 0
    assert 6 <= len(found.held_out) <= 18  # a fifth, about
    assert sorted([*found.train, *found.held_out]) == list(range(60))
    assert found.train.dtype == found.held_out.dtype == np.int64


def test_what_all_images_have_in_common_does_not_make_them_twins() -> None:
    frame = scene(1000).astype(np.float64)
    images = []
    for k in range(60):
        image = frame.copy()
        image[30:60, 30:80] = scene(k)[30:60, 30:80]
        images.append(image.astype(np.uint8))
    assert split(Collection.of_array(images), ImageType(3)).twins == 0
    assert split(Collection.of_array([*images, *images]), ImageType(3), count=10).twins > 5


def test_what_is_held_out_was_so_before_the_collection_grew() -> None:
    """In any order, with any seed, and by any number of threads."""
    rng, images = np.random.default_rng(0), np.random.default_rng(1).integers(0, 256, (900, 24, 32, 3)).astype(np.uint8)
    whole = split(Collection.of_array(images), ImageType(3))
    held = set(whole.held_out.tolist())
    assert 60 < len(held) < 120
    for count in (60, 150, 450, 900):
        order = rng.permutation(count)
        part = split(Collection.of_array(images[order]), ImageType(3), seed=count, threads=1 + count % 3)
        assert held & set(order.tolist()) <= set(order[part.held_out].tolist())
        assert len(part.held_out) < 0.3 * count


def film(frames: int) -> list[np.ndarray]:
    """The camera moves slowly over a wide scene."""
    wide = np.concatenate([scene(k, 96, 128) for k in range(8)], axis=1)
    return [wide[:, k : k + 128] for k in range(frames)]


def test_frames_of_a_film_are_held_out_in_runs() -> None:
    found = split(Collection.of_array(film(400)), ImageType(3), count=40)
    assert "4 runs in the order of names" in found.how
    assert (np.diff(found.held_out) > 1).sum() == 3
    assert len(found.held_out) == 40
    distance = np.abs(found.train[:, None] - found.held_out).min()
    assert distance >= 2  # next to a run, one frame at least was too much like it
    assert 0 < found.twins < 0.2 * 360


def test_images_that_are_all_alike_lose_only_exact_copies() -> None:
    rng = np.random.default_rng(0)
    base = scene(0).astype(np.float64)
    moods = [base * a + scene(1) * (1 - a) for a in rng.uniform(0.3, 0.7, 80)]
    images = [np.clip(mood + rng.normal(0, 0.5, base.shape), 0, 255).astype(np.uint8) for mood in moods]
    found = split(Collection.of_array([*images, *images[:2]]), ImageType(3), count=16)
    assert "alike" in found.how
    assert found.twins <= 2
    assert len(found.train) == 82 - 16 - found.twins


def test_blank_images_are_no_twins() -> None:
    c = Collection.of_array([*SCENES, *[np.full((96, 128, 3), 255, np.uint8)] * 60])
    found = split(c, ImageType(3))
    assert found.twins == 0


def test_two_valued_images() -> None:
    images = [(image > 128)[..., :1] * np.uint8(255) for image in SCENES]
    found = split(Collection.of_array([*images, *images]), ImageType(1, 2), count=10)
    held = set((found.held_out % 60).tolist())
    assert not held & set((found.train % 60).tolist())


def test_copies_and_nothing_else_are_too_few() -> None:
    with pytest.raises(ImageError, match="are copies of the 1 held out"):
        split(Collection.of_array([SCENES[0]] * 12), ImageType(3))


def test_too_few_images_say_how_many_it_takes() -> None:
    with pytest.raises(ImageError, match=r"5 images of 8-bit grey with 500 samples.*100,000.*1,000 images like these"):
        split(Collection.of_array([np.arange(100, dtype=np.uint8).reshape(10, 10)] * 5), ImageType(1))
    with pytest.raises(ImageError, match=r"1 image of 8-bit RGB.*that is 2 images"):
        split(Collection.of_array([scene(0, 300, 300)]), ImageType(3))
    with pytest.raises(ImageError, match=r"0 images of 8-bit grey.*left out: 60 files: 8-bit RGB"):
        split(Collection.of_array(SCENES), ImageType(1))
    with pytest.raises(ImageError, match="31 of 60"):
        split(Collection.of_array(SCENES), ImageType(3), count=31)


def test_a_few_large_photos_are_enough() -> None:
    found = split(Collection.of_array([scene(k, 240, 320) for k in range(3)]), ImageType(3))
    assert (len(found.train), len(found.held_out)) == (2, 1)


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    for k in range(12):
        Image.fromarray(SCENES[k]).save(tmp_path / f"{k}.png")
    (tmp_path / "3.png").write_bytes(b"nothing")
    Image.fromarray(SCENES[4][..., 0]).save(tmp_path / "4.png")
    told: list[tuple[int, int]] = []
    found = split(Collection.open([tmp_path]), ImageType(3), progress=lambda done, total: told.append((done, total)))
    assert [(one.name.rpartition("/")[2], one.reason) for one in found.skipped] == [
        ("3.png", "not an image"),
        ("4.png", "8-bit grey, not 8-bit RGB"),
    ]
    assert sorted([*found.train, *found.held_out]) == [0, 1, 2, *range(5, 12)]
    assert told == [(12, 12)]


def test_a_limit() -> None:
    found = split(Collection.of_array(SCENES), ImageType(3), limit=30)
    chosen = sorted([*found.train, *found.held_out])
    assert len(chosen) == 30
    assert [k // 2 for k in chosen] == list(range(30))
    assert "30 images spread over 60" in found.how


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4), st.integers(0, 9))
def test_areas_are_means(height: int, width: int, channels: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    whole = image.astype(np.float64).mean(2).repeat(SIDE, 0).repeat(SIDE, 1)
    expected = whole.reshape(SIDE, height, SIDE, width).mean((1, 3))
    np.testing.assert_allclose(areas(image), expected, rtol=1e-6)


@pytest.mark.data
@needs_mnist
def test_few_digits_count_as_twins() -> None:
    c = Collection.open([DATA / "mnist" / "t10k-images-idx3-ubyte.gz"])
    found = split(c, ImageType(1))
    assert found.how == "by a hash of their pixels"
    assert 900 < len(found.held_out) < 1100
    assert found.twins < 0.05 * 9000


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "photos" / "train.tar").is_file(), reason=f"the photos are not in {DATA}")
def test_copies_of_photos_are_found() -> None:
    c = Collection.open([DATA / "photos" / "train.tar"])
    photos = [c.read(i) for i in range(0, 852, 12)]
    for change in COPIES.values():
        prints, _ = module._Prints.of(
            Collection.of_array([*photos, *map(change, photos)]), np.arange(2 * len(photos)), ImageType(3), None, 0
        )
        found = prints.twins(np.arange(len(photos)))
        assert len(found) > 0.98 * len(photos)
