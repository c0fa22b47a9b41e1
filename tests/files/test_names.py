import pytest

from bitsback.errors import UnsafePathError
from bitsback.files import check_name


@pytest.mark.parametrize("name", ["a", "a/b.png", "größe/数字.png", ".hidden", "a b", "con1.png", "console", "x" * 255])
def test_good_names(name):
    assert check_name(name) is None


@pytest.mark.parametrize(
    "name",
    [
        *("", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\\b", "C:a", "a\0b", "a\nb", "a\x7f", "a.", "a /b"),
        *("CON", "a/nul.txt", "Com1", "lpt9.tar.gz", "aux .txt", "COM¹", "conin$"),
        *("x" * 256, "ö" * 128, "a/" * 2048 + "a", "gro\u0308ße", "\udcff"),
    ],
)
def test_bad_names(name):
    with pytest.raises(UnsafePathError) as error:
        check_name(name)
    assert str(error.value).isprintable()
