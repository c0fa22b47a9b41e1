import io
import zipfile

import numpy as np
import pytest

from bitsback.errors import FormatError
from bitsback.files import parse, write

IMAGES = np.arange(2 * 5 * 6, dtype=np.uint8).reshape(2, 5, 6)


def npz(save=np.savez, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def zipped(members, **options):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_several_arrays_and_their_names(save, check_file):
    arrays = {
        "images": IMAGES,
        "labels": np.arange(2),
        "größe": np.array([[1.5]]),
        "deep": np.asfortranarray(IMAGES.astype(">u2") * 300),
        "empty": np.zeros((0, 3), np.uint8),
    }
    check_file(npz(save, **arrays), "a.npz", exact=save is np.savez, pixels=True)
    picture = check_file(npz(save, **arrays), "a.npz", exact=True)
    assert [part.shape for part in picture.parts] == [(2, 5, 6, 1), (2, 5, 6, 1)]
    again = np.load(io.BytesIO(write(picture.recipe, picture.blob, picture.parts)))
    assert again.files == list(arrays)
    for name, array in arrays.items():
        assert again[name].dtype == array.dtype and np.array_equal(again[name], array)
        assert again[name].flags.f_contiguous == array.flags.f_contiguous


def test_pickles_are_kept_and_never_opened(check_file):
    class Trap:
        def __reduce__(self):
            return print, ("opened",)

    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([[Trap()]], object), allow_pickle=True)
    images = io.BytesIO()
    np.save(images, IMAGES)
    data = zipped([("a.npy", file.getvalue()), ("b.npy", images.getvalue())])
    assert file.getvalue() in check_file(data, "a.npz", exact=True).blob


def test_times_attributes_and_comments_are_kept(check_file):
    array = io.BytesIO()
    np.save(array, IMAGES)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("a.npy", (2020, 2, 3, 4, 5, 6))
        info.comment, info.external_attr, info.compress_type = b"by hand", 0o640 << 16, zipfile.ZIP_DEFLATED
        info.extra = b"\x99\x99\x02\x00ab"
        archive.writestr(info, array.getvalue(), compresslevel=1)
        archive.comment = b"an archive"
    picture = check_file(file.getvalue(), "a.npz")
    with zipfile.ZipFile(io.BytesIO(write(picture.recipe, picture.blob, picture.parts))) as archive:
        (again,) = archive.infolist()
        assert archive.comment == b"an archive"
    for name in ("filename", "date_time", "comment", "external_attr", "compress_type", "extra"):
        assert getattr(again, name) == getattr(info, name)


def test_hidden_bytes_are_not_lost(kept, check_file):
    good = npz(images=IMAGES)
    check_file(b"PK\x03\x04hidden" + good, "a.npz", exact=True, pixels=True)
    check_file(b"PK\x03\x04hidden" + good, "a.npz", exact=True)
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        start = archive.start_dir
    middle = bytearray(good[:start] + b"hidden" + good[start:])
    middle[-6:-2] = (start + 6).to_bytes(4, "little")
    kept(bytes(middle), "would not come back unchanged", "a.npz", pixels=True)
    check_file(bytes(middle), "a.npz", exact=True)


def test_other_archives_are_kept(kept, check_file):
    array = io.BytesIO()
    np.save(array, IMAGES)
    kept(npz(labels=np.arange(9)), "no arrays of images", "a.npz")
    kept(zipped([("readme.txt", b"text")]), "", "a.npz")
    kept(zipped([("a.npy", array.getvalue())], compression=zipfile.ZIP_BZIP2), "unusual compression", "a.npz")
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped([("a.npy", array.getvalue())] * 2)
    kept(twice, "two members of one name", "a.npz", pixels=True)
    assert len(check_file(twice, "a.npz", exact=True).parts) == 2
    good = npz(images=IMAGES)
    kept(good[:-30], "damaged", "a.npz")
    kept(good.replace(IMAGES.tobytes(), IMAGES.tobytes()[::-1]), "damaged", "a.npz", pixels=True)
    check_file(good.replace(IMAGES.tobytes(), IMAGES.tobytes()[::-1]), "a.npz", exact=True)
    kept(good[:-30], "", "a.zip")


def test_a_bomb_is_bounded(kept, monkeypatch):
    monkeypatch.setattr("bitsback.files.npz.MAX_SAMPLES", 1000)
    kept(npz(images=np.zeros((10, 20, 20), np.uint8)), "too large", "a.npz")


def test_a_member_that_promises_too_much(kept):
    data = bytearray(npz(np.savez_compressed, images=IMAGES))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (1 << 27).to_bytes(4, "little")
    kept(bytes(data), "more than it can hold", "a.npz")


def test_recipes_that_cannot_be_followed():
    picture = parse(npz(images=IMAGES), pixels=True)
    for entries, blob, parts in (
        (picture.recipe["entries"] * 2, picture.blob * 2, picture.parts * 2),
        (picture.recipe["entries"], picture.blob, []),
        (picture.recipe["entries"], picture.blob, picture.parts * 2),
        (picture.recipe["entries"], picture.blob + b"x", picture.parts),
        ([picture.recipe["entries"][0] | {"array": {"format": "png"}}], picture.blob, picture.parts),
        ([picture.recipe["entries"][0] | {"time": [1, 2, 3]}], picture.blob, picture.parts),
        ([picture.recipe["entries"][0] | {"fields": [99, 0, 0, 0, 0, 0]}], picture.blob, picture.parts),
    ):
        with pytest.raises(FormatError):
            write(picture.recipe | {"entries": entries}, blob, parts)


@pytest.mark.parametrize("level", range(10))
def test_every_level_comes_back(level, check_file):
    smooth = np.add.outer(np.arange(90), np.arange(70)).astype(np.uint8)
    file = io.BytesIO()
    np.save(file, smooth)
    labels = io.BytesIO()
    np.save(labels, np.arange(300))
    members = [("a.npy", file.getvalue()), ("b.npy", labels.getvalue())]
    data = zipped(members, compression=zipfile.ZIP_DEFLATED, compresslevel=level)
    picture = check_file(data, "a.npz", exact=True)
    assert len(picture.recipe["members"]) == 2


def test_exact_recipes_that_cannot_be_followed():
    picture = parse(npz(np.savez_compressed, images=IMAGES))
    (member,) = picture.recipe["members"]
    for members, blob, parts in (
        ([member] * 2, picture.blob, picture.parts),
        ([member], picture.blob, []),
        ([member], picture.blob, picture.parts * 2),
        ([member], picture.blob[:20], picture.parts),
        ([member | {"array": {"format": "png"}}], picture.blob, picture.parts),
        ([member | {"deflate": [0, 8, 0, 15, 0]}], picture.blob, picture.parts),
        ([member | {"deflate": [6]}], picture.blob, picture.parts),
    ):
        with pytest.raises(FormatError):
            write({"format": "npz", "members": members}, blob, parts)
