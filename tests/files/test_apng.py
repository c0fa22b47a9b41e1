"""Animated PNG: every frame is an image."""

import io

import numpy as np
import pytest
from PIL import Image

from bitsback.files import parse, write


def animation(count, whole=False, **options):
    rng = np.random.default_rng(3)
    frames = []
    for number in range(count):
        pixels = np.zeros((20, 30, 3), np.uint8)
        pixels[2 : 9 + number, 3:20] = rng.integers(0, 256, 3)
        if whole:
            pixels[[0, -1], [0, -1]] = number
        frames.append(Image.fromarray(pixels))
    file = io.BytesIO()
    frames[0].save(file, "png", save_all=True, append_images=frames[1:], duration=50, **options)
    return file.getvalue()


@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("default", [False, True])
def test_every_frame_is_an_image(count, default, check_file):
    data = animation(count, default_image=default)
    assert b"acTL" in data and b"fdAT" in data
    picture = check_file(data, "a.png", exact=True)
    assert sum(map(len, picture.parts)) == count
    with Image.open(io.BytesIO(data)) as opened:
        assert np.array_equal(picture.parts[0][0], np.asarray(opened.convert("RGB")))


def test_frames_of_one_size_are_one_part(check_file):
    data = animation(4, whole=True)
    (part,) = check_file(data, "a.png", exact=True).parts
    assert part.shape == (4, 20, 30, 3)


def test_odd_numbers_of_frames_are_kept(kept):
    data = animation(3)
    at = data.index(b"fdAT") + 4
    changed = data[:at] + b"\0\0\0\x09" + data[at + 4 :]
    kept(changed, "not in order", "a.png")


def test_pixels_alone_are_the_first_frame(check_file):
    data = animation(3)
    picture = check_file(data, "a.png", pixels=True)
    assert [len(part) for part in picture.parts] == [1]
    assert write(picture.recipe, picture.blob, picture.parts).count(b"fdAT") == data.count(b"fdAT")
    assert parse(data, "a.png").exact
