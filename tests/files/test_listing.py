"""What is in tar and zip files, from recipe and blob alone."""

import io
import tarfile
import zipfile

import pytest

from bitsback.errors import FormatError
from bitsback.files import inside, parse
from bitsback.files.listing import DEEPEST
from files.test_tar import FILES, PGM, packed
from files.test_zips import zipped


def listed(data):
    picture = parse(data, "a")
    return inside(picture.recipe, picture.blob, [part.shape for part in picture.parts])


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar(form):
    data = packed(FILES, form)
    found = listed(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        known = [(one.name, one.size) for one in archive if one.isfile()]
    assert [(one.name, one.size) for one in found] == known
    assert [one.format for one in found] == ["pnm", "", "bmp", "", "jpeg", "png", ""]
    assert [one.shapes for one in found] == [((1, 20, 24, 1),), (), ((1, 20, 24, 1),), (), (), ((1, 20, 24, 1),), ()]


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_and_what_is_within(kind):
    found = listed(zipped({"a.pgm": PGM, "b.tar": packed({"c.pgm": PGM, "d": b"words"}), "e.txt": b"words"}, kind))
    names = {one.name: one.format for one in found}
    assert names == {"a.pgm": "pnm", "b.tar": "tar", "b.tar/c.pgm": "pnm", "b.tar/d": "", "e.txt": ""}


def test_others_have_nothing_inside():
    assert listed(PGM) == [] and listed(b"words") == []


def test_recipes_that_cannot_be_followed():
    picture = parse(packed({"a.pgm": PGM}), "a")
    shapes = [part.shape for part in picture.parts]
    for recipe, blob in (
        (picture.recipe, picture.blob[:9]),
        ({"format": "tar"}, b""),
        ({"format": "tar", "arrays": [{"at": [9, 9], "files": {}, "parts": -1}]}, b""),
    ):
        with pytest.raises(FormatError):
            inside(recipe, blob, shapes)
    recipe = picture.recipe
    for _ in range(DEEPEST + 9):
        recipe = {"format": "tar", "headers": 0, "arrays": [{"at": [0, 9], "files": recipe}]}
    assert inside(recipe, b"\1\1\1", shapes) == []
