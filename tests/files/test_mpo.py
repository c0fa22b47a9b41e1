"""Several JPEG files in one."""

import io

import numpy as np
import pytest
from PIL import Image

from bitsback.files import innermost, parse, shown, write

RAMP = (np.add.outer(np.arange(40), 3 * np.arange(50)) % 256).astype(np.uint8)


def mpo(count=3):
    file = io.BytesIO()
    images = [Image.fromarray(np.roll(RAMP, 9 * k, 1)).convert("RGB") for k in range(count)]
    images[0].save(file, "mpo", save_all=True, append_images=images[1:])
    return file.getvalue()


def test_each_image_is_a_file(check_file):
    data = mpo()
    picture = check_file(data, "a.mpo", exact=True)
    assert picture.recipe["format"] == "mpo" and picture.coefficients == {0, 1, 2}
    shapes = [part.shape for part in picture.parts]
    with Image.open(io.BytesIO(data)) as image:
        for number in range(3):
            recipe, blob, which = innermost(picture.recipe, picture.blob, shapes, number)
            image.seek(number)
            file = write(recipe, blob, [picture.parts[k] for k in which])
            assert np.array_equal(shown(file), np.asarray(image))


def test_one_image_is_a_jpeg_file(check_file):
    data = mpo()
    at = data.index(b"MPF\0")
    for bad in (data[: data.rindex(b"\xff\xd8\xff")], data[:at] + b"XPF\0" + data[at + 4 :], data[: at + 8]):
        picture = parse(bad, "a.jpg")
        assert picture.recipe.get("format") in ("jpeg", None)
    recipe = check_file(data[:at] + b"XPF\0" + data[at + 4 :]).recipe
    assert recipe["format"] == "jpeg" and len(recipe["within"]) == 2


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files_come_back_as_they_are(seed):
    rng, good = np.random.default_rng(seed), mpo(2)
    at = good.index(b"MPF\0")
    for _ in range(20):
        data = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            data[int(rng.choice([at + rng.integers(90), rng.integers(len(data))]))] = rng.integers(256)
        picture = parse(bytes(data), "a.jpg")
        again = picture.raw if picture.raw is not None else write(picture.recipe, picture.blob, picture.parts)
        assert again == data
