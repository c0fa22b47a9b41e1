"""Deflate recipes against a reader that was written from docs/format.md alone."""

from collections.abc import Sequence

import numpy as np
import pytest

from bitsback.errors import ImageError
from bitsback.files.deflate import put_together, take_apart
from bitsback.files.deflate.recipe import CHEAPEST, IN_PASSES, Recipe, Walk, read_only, rebuild, rules_of
from bitsback.files.deflate.stream import parse, write
from bitsback_decoder.deflate import deflated
from files.deflate.streams import plain_bytes, pressed, tampered


def test_whatever_zlib_writes() -> None:
    rng = np.random.default_rng(5)
    done = corrected = 0
    for _ in range(40):
        plain = plain_bytes(rng, 300)
        for stream in (pressed(rng, plain), tampered(rng, pressed(rng, plain))):
            try:
                found, rules, corrections, size = take_apart(stream, 1 << 16)
            except ImageError:
                continue
            assert deflated(found, rules, corrections) == stream[:size]
            done, corrected = done + 1, corrected + bool(corrections)
    assert done > 50 and corrected > 20


@pytest.mark.parametrize(
    ("family", "levels", "strategies"),
    [(0, range(1, 10), 5), (1, range(1, 10), 5), (2, range(1, 10), 5), (3, range(6, 10), 2), (4, (1, 2, 3), 1)],
)
def test_all_rules(family: int, levels: Sequence[int], strategies: int) -> None:
    rng = np.random.default_rng(family)
    for level in levels:
        for strategy in range(strategies):
            rules = level, int(rng.integers(1, 10)), strategy, int(rng.integers(8, 16)), family
            plain = plain_bytes(rng, 250 if family < CHEAPEST else 100)
            assert deflated(plain, rules) == write(plain, rebuild(plain, Recipe(rules)))


def test_any_stream_by_a_plan() -> None:
    rng = np.random.default_rng(2)
    done = 0
    for level, family in [(level, CHEAPEST) for level in (6, 7, 8, 9) * 2] + [(1, IN_PASSES), (3, IN_PASSES)]:
        plain = plain_bytes(rng, 500)
        stream = pressed(rng, plain)
        rules = level, 8, int(rng.integers(2)), 15, family
        corrections = Walk(read_only(plain), np.empty(0, np.int64), rules_of(*rules)).corrections(
            parse(stream, len(plain))[1], 1 << 20
        )
        assert corrections is not None
        assert deflated(plain, rules, corrections) == put_together(plain, list(rules), corrections) == stream
        done += len(corrections) > 20
    assert done > 2


def test_any_corrections_that_can_be_followed() -> None:
    rng = np.random.default_rng(1)
    followed = 0
    for _ in range(120):
        plain = plain_bytes(rng, 100)
        rules = [int(rng.integers(1, 10)), int(rng.integers(1, 10)), int(rng.integers(5)), 15, int(rng.integers(5))]
        if rules[4] == IN_PASSES:
            rules[0] = 1 + rules[0] % 2  # three passes take this reader long enough
        corrections = rng.bytes(int(rng.integers(1, 12)))
        try:
            stream = put_together(plain, rules, corrections)
        except ValueError:
            with pytest.raises((AssertionError, IndexError)):
                deflated(plain, rules, corrections)
            continue
        assert deflated(plain, rules, corrections) == stream
        followed += 1
    assert followed > 10


# Numbers of impossibly many bits; a header that tells of all 288 and 32 codes
@pytest.mark.parametrize(
    ("plain", "rules", "corrections"),
    [
        (b"bcaaaabbcbcabaccaa", [9, 5, 4, 15, 1], "5ec0"),
        (b"cbaacccacabbccbababcbacabcca", [5, 5, 0, 15, 3], "eee8"),
        (b"bcaccacaaaabccacccbcacbcaacaccbababcba", [2, 3, 4, 15, 2], "8575f5e7d99cac0891"),
    ],
)
def test_both_refuse_what_cannot_be_followed(
    plain: bytes, rules: list[int], corrections: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is in the memory that nobody has set."""
    with pytest.raises(ValueError):
        put_together(plain, rules, bytes.fromhex(corrections))
    monkeypatch.setattr(np, "empty", lambda shape, dtype=float: np.full(shape, 9, dtype))
    with pytest.raises(ValueError):
        put_together(plain, rules, bytes.fromhex(corrections))
    with pytest.raises(AssertionError):
        deflated(plain, rules, bytes.fromhex(corrections))
