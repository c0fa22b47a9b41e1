import numpy as np
import pytest

from bitsback.errors import BitsBackError, FormatError, TruncatedError
from bitsback.kinds.context import payload, tiles
from bitsback.models import Model
from contexts import picture, tiny_context
from models.context_models import context_file

NETWORK = tiny_context(3, "median")
IMAGES = picture("smooth", (7, 9, 14, 3))


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of 3, 3 and 1 images."""
    monkeypatch.setattr(tiles, "GROUP", 3 * tiles.padded(9, 14))


def test_any_order_of_channels_and_number_of_threads() -> None:
    for colour in ((0, 1, 2), (2, 0, 1)):
        coded = payload.encode(NETWORK, IMAGES, 256, colour)
        assert payload.encode(NETWORK, IMAGES, 256, colour, 4) == coded
        for threads in (1, 2, 9):
            np.testing.assert_array_equal(payload.decode(NETWORK, coded, IMAGES.shape, 256, colour, threads), IMAGES)


def test_a_piece_by_itself_has_no_table() -> None:
    coded = payload.encode(NETWORK, IMAGES[:3], 256, (0, 1, 2))
    assert len(coded) % 4 == 1  # the stack alone, and what says so
    np.testing.assert_array_equal(payload.decode(NETWORK, coded, (3, 9, 14, 3), 256, (0, 1, 2)), IMAGES[:3])


def test_damage_raises_nothing_but_our_errors() -> None:
    coded = payload.encode(NETWORK, IMAGES, 256, (0, 1, 2))
    rng = np.random.default_rng(0)
    noticed = 0
    positions = [0, 1, 2, 3, *rng.integers(4, len(coded), 60)]
    for position in positions:
        damaged = bytearray(coded)
        damaged[position] ^= 1 << rng.integers(8)
        try:
            payload.decode(NETWORK, bytes(damaged), IMAGES.shape, 256, (0, 1, 2))
        except BitsBackError:
            noticed += 1
    assert noticed > 0.9 * len(positions)
    for length in range(0, len(coded), 13):
        with pytest.raises(BitsBackError):
            payload.decode(NETWORK, coded[:length], IMAGES.shape, 256, (0, 1, 2))


@pytest.mark.parametrize(
    "head", [b"", b"\x00", b"\xff" * 11, b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00", b"\x00\x00"]
)
def test_tables_of_sizes_that_do_not_fit(head: bytes) -> None:
    with pytest.raises(TruncatedError):
        payload.decode(NETWORK, b"\0" + head, IMAGES.shape, 256, (0, 1, 2))


def test_what_is_left_over_is_noticed() -> None:
    coded = payload.encode(NETWORK, IMAGES, 256, (0, 1, 2))
    for count in (1, 3, 4, 6, 8, 10):
        with pytest.raises(BitsBackError):
            payload.decode(NETWORK, coded, (count, *IMAGES.shape[1:]), 256, (0, 1, 2))
    with pytest.raises(FormatError):
        payload.decode(NETWORK, coded + bytes(4), IMAGES.shape, 256, (0, 1, 2))


def test_a_model_codes_in_pieces_too() -> None:
    model = Model.from_bytes(context_file((3, "median", 0, 256), colour=(1, 0, 2)))
    np.testing.assert_array_equal(model.decode(model.encode(IMAGES), 7, (9, 14, 3)), IMAGES)
