import os
from pathlib import Path

import numpy as np
import pytest

from bitsback.data.collection import Collection
from bitsback.errors import ImageError
from data.pictures import noise, save


def names(c: Collection) -> list[str]:
    return [c.name(i) for i in range(len(c))]


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


def test_any_name_will_do_and_links_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    save(folder, a=noise(4, 4), A=noise(4, 4))
    (folder / os.fsdecode(b"\xff:?.png")).write_bytes((folder / "a.png").read_bytes())
    (folder / "link.png").symlink_to("a.png")
    (folder / "round").symlink_to(".")
    os.mkfifo(folder / "pipe.png")
    c = Collection.open([folder])
    assert sorted(map(os.fsencode, names(c))) == [b"f/A.png", b"f/a.png", b"f/\xff:?.png"]
    reasons = {one.name: one.reason for one in c.skipped}
    assert reasons == {
        "f/link.png": "symbolic link",
        "f/round": "symbolic link",
        "f/pipe.png": "not a regular file",
    }


def test_a_link_that_is_given_is_followed(tmp_path: Path) -> None:
    save(tmp_path / "f", a=noise(4, 4))
    (tmp_path / "link").symlink_to("f")
    assert names(Collection.open([tmp_path / "link"])) == ["link/a.png"]


def test_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, a=noise(4, 4))
    monkeypatch.chdir(tmp_path)
    assert names(Collection.open(["."])) == [f"{tmp_path.name}/a.png"]


def test_arrays_in_an_npz_with_labels_of_any_type(tmp_path: Path) -> None:
    labels = np.array([(1, "a")], dtype=[("number", "i4"), ("name", "U1")])
    np.savez(tmp_path / "x.npz", images=noise(5, 6, 6), labels=labels, words=np.array(["a", "b"]))
    assert names(Collection.open([tmp_path / "x.npz"])) == [f"x.npz/images[{k}]" for k in range(5)]
