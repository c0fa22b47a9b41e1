import numpy as np
import pytest

from bitsback.codecs.base import whole
from bitsback.errors import CodecError


def test_whole_gives_kernels_one_form():
    source = np.arange(20, dtype=np.int64)[::2]
    source.flags.writeable = False
    array = whole(source, np.uint8, 19, "x")
    assert array.dtype == np.uint8 and array.flags.c_contiguous and array.flags.writeable
    assert array.tolist() == list(range(0, 20, 2))
    assert whole([True, False], np.uint8, 2, "x").tolist() == [1, 0]
    assert whole(np.array([], int), np.uint8, 2, "x").shape == (0,)


def test_whole_does_not_copy_what_already_fits():
    array = np.zeros(5, np.uint8)
    assert whole(array, np.uint8, None, "x") is array


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([3, 9], "x must be in 1..8, not 9"),
        ([0, 2], "x must be in 1..8, not 0"),
        ([-5], "x must be in 1..8, not -5"),
        (np.array([2**64 - 1], np.uint64), "not 18446744073709551615"),
        ([1.0], "x must be an integer, not float64"),
        (["1"], "x must be an integer"),
    ],
)
def test_whole_refuses_the_rest(values, message):
    with pytest.raises(CodecError, match=message):
        whole(values, np.uint8, 9, "x", start=1)
