"""Bands of rows, without anything that codes them."""

import pytest

from bitsback.ans import Stack
from bitsback.errors import FormatError, TruncatedError
from bitsback.kinds.adaptive import bands
from bitsback.kinds.varint import varint

BANDS = [varint(len(stack)) + stack.pack() for stack in (Stack(), Stack(), Stack())]


def never(*_: object) -> int:
    raise AssertionError("a band was decoded")


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (b"", TruncatedError, "within a number"),
        (BANDS[0], TruncatedError, "within a number"),
        (BANDS[0] + BANDS[1] + BANDS[2][:-1], TruncatedError, "within a band"),
        (BANDS[0] + BANDS[1] + b"\xff\xff\xff\xff\x0f" + BANDS[2][1:], TruncatedError, "within a band"),
        (b"".join(BANDS) + b"\0", FormatError, "more than the images"),
    ],
)
def test_nothing_is_decoded_of_bands_that_are_not_all_there(data: bytes, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        bands.decode(never, None, 3, bands.BAND, memoryview(data))


def test_bands_that_are_there_are_decoded() -> None:
    with pytest.raises(AssertionError, match="was decoded"):
        bands.decode(never, None, 3, bands.BAND, memoryview(b"".join(BANDS)))
