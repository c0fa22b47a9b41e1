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
    assert row["xz"] < 2 * tile.nbytes + 2 * 30 * 40 * 3 and set(script.PEERS) < set(row)


def test_an_empty_folder_is_no_collection(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no images"):
        import_module("folders").row_of(tmp_path)


def test_paeth_is_what_it_is_in_a_png() -> None:
    script = import_module("folders")
    image = np.array([[[10], [12]], [[11], [200]]], np.uint8)
    assert script._paeth(image)[..., 0].tolist() == [[10, 2], [1, 188]]
