"""Payloads of pieces, of each kind that has such."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.ans import Stack
from bitsback.errors import EmptyStackError, FormatError, TruncatedError
from bitsback.kinds.chain import FEWEST_SORTED
from bitsback.kinds.phases import tiles
from bitsback.kinds.pieces import APART, CHAINED
from bitsback.models import Model
from contexts import CONTENTS, picture
from helpers import in_order
from models.context_models import context_file
from phases import phases_file

FILES = {
    "context": lambda: context_file((3, "median", 0, 256), colour=(1, 0, 2)),
    "context, two levels": lambda: context_file((1, "plain", 0, 2)),
    "phases": lambda: phases_file(3, 256),
    "phases, two levels": lambda: phases_file(1, 2),
}


def model(kind: str) -> Model:
    return Model.from_bytes(FILES[kind]())


def drawn(one: Model, n: int, seed: int, content: str = "noise", side: int = 5) -> np.ndarray:
    """Pictures of which many differ, in order."""
    images = picture(content, (n, side, side + 1, one.shape[2]), one.levels)
    changes = np.random.default_rng(seed).integers(0, one.levels, (n, 3, one.shape[2]))
    images[:, 0, :3] = changes
    return in_order(images)


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from([*FILES]),
    content=st.sampled_from(CONTENTS),
    n=st.integers(1, 60),
    same=st.integers(0, 30),
    seed=st.integers(0, 99),
    threads=st.integers(1, 3),
)
def test_sorted_images_come_back(kind: str, content: str, n: int, same: int, seed: int, threads: int) -> None:
    one = model(kind)
    images = drawn(one, n, seed, content)
    images[:same] = images[0]
    payload = one.encode(images, threads=threads)
    assert payload == one.encode(images)
    assert payload[0] == (CHAINED if n >= FEWEST_SORTED else APART)
    assert np.array_equal(one.decode(payload, n, images.shape[1:], threads=threads), images)


@pytest.mark.parametrize("kind", FILES)
def test_their_order_costs_nothing(kind: str) -> None:
    one = model(kind)
    images = drawn(one, 300, 0, side=8)
    shuffled = images[np.random.default_rng(0).permutation(300)]
    apart = one.encode(shuffled)
    assert apart[0] == APART
    saved, different = 8 * (len(apart) - len(one.encode(images))), len(np.unique(images, axis=0))
    assert saved > 0.9 * sum(np.log2(np.arange(1, different + 1)))


@pytest.mark.parametrize("kind", FILES)
def test_images_that_lend_nothing_are_apart(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a chain would be too irregular to be said."""
    one = model(kind)
    images = drawn(one, 40, 0)
    monkeypatch.setattr(Stack, "drop", _empty)
    payload = one.encode(images)
    assert payload[0] == APART
    assert np.array_equal(one.decode(payload, 40, images.shape[1:]), images)


def _empty(*_: object) -> None:
    raise EmptyStackError("nothing is lent")


def test_a_schedule_of_its_own_is_refused() -> None:
    """As many small steps would take long for what they give."""
    one = model("context")
    images = drawn(one, 40, 0)
    payload = one.encode(images)
    assert payload[:3] == bytes([CHAINED, 129, 0])
    said = payload[:2] + bytes([1, 0, 40]) + payload[3:]  # forty steps of one image
    with pytest.raises(FormatError, match="schedule"):
        one.decode(said, 40, images.shape[1:])


def test_other_ways_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in FILES:
        one = model(kind)
        images = drawn(one, 20, 0)
        payload = one.encode(images)
        for first in (b"\2", b"\x80", b"\xff"):
            with pytest.raises(FormatError, match="neither"):
                one.decode(first + payload[1:], 20, images.shape[1:])
        with pytest.raises(TruncatedError, match="empty"):
            one.decode(b"", 20, images.shape[1:])
        with pytest.raises(FormatError):
            one.decode(payload[:1] + payload[2:], 20, images.shape[1:])
    monkeypatch.setattr(tiles, "EDGE", 4)  # images of 5 x 6 are tiles then
    monkeypatch.setattr(tiles, "CORNER", 2)
    with pytest.raises(FormatError, match="tiles"):
        one.decode(payload, 20, images.shape[1:])
