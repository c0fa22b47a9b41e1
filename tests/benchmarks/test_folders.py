from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("imagecodecs", reason="the extra [bench] is not installed")


def test_a_row_has_what_each_takes(tmp_path: Path) -> None:
    script = import_module("folders")
    folder = tmp_path / "few"
    folder.mkdir()
    rng = np.random.default_rng(0)
    tile = rng.integers(0, 9, (30, 40, 3), np.uint8)
    for number in range(3):
        Image.fromarray(np.roll(tile, number, axis=0)).save(folder / f"{number}.png")
    Image.fromarray(tile).quantize(7).save(folder / "palette.png")
    Image.fromarray(tile[..., 0].astype(np.uint16) * 300).save(folder / "deep.png")
    (folder / "notes.txt").write_text("no image")
    row = script.row_of(folder)
    assert (row["folder"], row["images"]) == ("few", 5)
    assert row["bitsback"] <= row["bitsback, byte for byte"] < row["files"]
    assert row["xz"] < 2 * tile.nbytes + 2 * 30 * 40 * 3
    assert set(script.PEERS) & set(row) == {
        "xz",
        "zstd",
        "Paeth, xz",
        "JPEG XL",
    }  # one has 16 bits, and is of one channel
    assert row["best"] == row[row["by"]] == min(row[name] for name in set(script.PEERS) & set(row))


def test_an_empty_folder_is_no_collection(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no images"):
        import_module("folders").row_of(tmp_path)


def test_frames_are_images_and_deep_ones_stay_so(tmp_path: Path) -> None:
    script = import_module("folders")
    deep = np.arange(60, dtype=np.uint16).reshape(5, 12) * 999
    Image.fromarray(deep).save(tmp_path / "a.tif", compression="tiff_lzw")
    frames = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in (0, 200)]
    frames[0].save(tmp_path / "b.gif", save_all=True, append_images=frames[1:])
    one, *others = script.images_of(tmp_path)
    assert np.array_equal(one, deep) and [image.shape[:2] for image in others] == [(4, 4), (4, 4)]
    assert script.differences([deep, deep]) < script.each(script.jpegxl)([deep, deep])
    assert script.taken(script.stacked, [deep, deep[:, :7]]) is None


def test_paeth_is_what_it_is_in_a_png() -> None:
    script = import_module("folders")
    image = np.array([[[10], [12]], [[11], [200]]], np.uint8)
    assert script._paeth(image)[..., 0].tolist() == [[10, 2], [1, 188]]
