import io

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin


def tiff(image, **options):
    file = io.BytesIO()
    image.save(file, "tiff", **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16", "I;16B"])
def test_files_of_pillow_come_back_byte_for_byte(mode, check_file):
    rng = np.random.default_rng(0)
    if mode.startswith("I"):
        image = Image.fromarray(rng.integers(0, 65536, (7, 11)).astype(">u2" if mode == "I;16B" else "<u2"))
    else:
        image = Image.fromarray(rng.integers(0, 256, (7, 11, 4)).astype(np.uint8), "RGBA").convert(mode)
    picture = check_file(tiff(image), "a.tif", exact=True)
    assert np.array_equal(picture.parts[0][0].squeeze(), np.asarray(image))


def test_tags_and_profile_are_kept(check_file):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270], tags[305] = "a digit", "by hand"
    data = tiff(Image.new("L", (5, 4), 7), tiffinfo=tags, icc_profile=b"profile", dpi=(300, 300))
    picture = check_file(data, "a.tiff", exact=True)
    assert all(word in picture.blob for word in (b"a digit", b"by hand", b"profile"))


def test_many_strips(check_file):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 40)).astype(np.uint8))
    data = tiff(image, tiffinfo={278: 8})
    assert np.array_equal(check_file(data, exact=True).parts[0][0, :, :, 0], np.asarray(image))


def test_other_files_are_kept(kept):
    image = Image.new("RGB", (30, 20), (1, 2, 3))
    good = tiff(image)
    kept(tiff(image, compression="tiff_lzw"), "a compressed TIFF", "a.tif")
    kept(tiff(image, save_all=True, append_images=[image]), "several pages", "a.tif")
    kept(tiff(Image.new("F", (3, 2))), "floating-point", "a.tif")
    kept(good[:60], "ends within", "a.tif")
    kept(good[:-1], "before its pixels do", "a.tif")
    kept(b"II*\0\xff\xff\xff\xff", "ends within the TIFF tags", "a.tif")
