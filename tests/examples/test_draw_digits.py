"""The sample images are what their program draws, on every machine."""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"
spec = importlib.util.spec_from_file_location("draw_digits", EXAMPLES / "draw_digits.py")
assert spec is not None and spec.loader is not None
draw_digits = importlib.util.module_from_spec(spec)
spec.loader.exec_module(draw_digits)


def test_the_files_are_what_the_program_draws() -> None:
    rng = np.random.default_rng(2026)
    for i in range(draw_digits.COUNT):
        found = np.asarray(Image.open(EXAMPLES / "digits" / f"{i:03d}.png"))
        np.testing.assert_array_equal(found, draw_digits.draw(i % 10, rng) > 127)


def test_the_same_digits_come_out_everywhere() -> None:
    """In grey: what the pages of the lab learn from and code."""
    rng = np.random.default_rng(5)
    drawn = np.stack([draw_digits.draw(i % 10, rng) for i in range(300)])
    assert drawn.shape == (300, 28, 28) and drawn.dtype == np.uint8
    assert (
        hashlib.sha256(drawn.tobytes()).hexdigest()
        == "4945addbca0196974bc9b68e168438a41aeb2e3dc202dbd2312491249e8706c8"
    )


def test_digits_are_in_the_middle_and_within_the_edges() -> None:
    rng = np.random.default_rng(1)
    for i in range(100):
        digit = draw_digits.draw(i % 10, rng).astype(float)
        assert 30 < (digit > 127).sum() < 300
        rows, columns = np.indices(digit.shape)
        assert abs((digit * rows).sum() / digit.sum() - 13.5) <= 1
        assert abs((digit * columns).sum() / digit.sum() - 13.5) <= 1
