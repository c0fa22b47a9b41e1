import dataclasses
import doctest
from types import SimpleNamespace

import numpy as np
import pytest

from bitsback.training import outcome
from bitsback.training.measure import break_even
from bitsback.training.outcome import addition, headline, in_all, text_table
from bitsback.training.result import Result, Row

ROWS = [
    Row("mine", 6_900, 4.0, "new"),
    Row("bitsback without it (model thumbnails)", 9_000, 5.2, "shipped"),
    Row("JPEG XL 9", 10_000, 5.8, "codec"),
    Row("PNG", 17_250, 10.0, "codec"),
]


def result(rows: list[Row] = ROWS, break_even: int | None = 340) -> Result:
    model = SimpleNamespace(data=bytes(1000), name="mine")
    return Result(model, {}, rows, break_even, [np.zeros((1, 1, 1), np.uint8)] * 10, [""] * 10, [])  # type: ignore[arg-type]


def with_bytes(number: int, size: int) -> list[Row]:
    return [dataclasses.replace(row, bytes=size) if k == number else row for k, row in enumerate(ROWS)]


def test_examples() -> None:
    assert doctest.testmod(outcome).failed == 0


WITHOUT = "with bitsback without it (model thumbnails)"
CODECS = [ROWS[0], *ROWS[2:]]


@pytest.mark.parametrize(
    ("rows", "break_even", "words"),
    [
        (ROWS, 340, f"23 % less than {WITHOUT}; the model has paid for itself after 340 images."),
        (ROWS, 1, "after 1 image."),
        (with_bytes(0, 8_955), 123_456, f"0.5 % less than {WITHOUT}; the model has paid"),
        (with_bytes(0, 9_000), None, f"as much as {WITHOUT}: this model does not pay."),
        (with_bytes(0, 9_003), None, "as much as with"),
        (with_bytes(0, 9_500), None, f"6 % more than {WITHOUT}: this model does not pay."),
        (with_bytes(1, 12_000), 340, "31 % less than with the best of the others, JPEG XL 9; the model has paid"),
        (CODECS, 340, "31 % less than with the best of the others, JPEG XL 9; the model has paid"),
        (ROWS[:1], None, "Your images take 690 bytes each."),
    ],
)
def test_headline(rows: list[Row], break_even: int | None, words: str) -> None:
    assert words in headline(result(rows, break_even))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (ROWS, "on 10 images that training never saw. JPEG XL 9 takes 45 % more than the new model."),
        (with_bytes(1, 12_000), "Bitsback without it (model thumbnails) takes 74 % more than the new model."),
        (with_bytes(2, 8_950), "Bitsback without it (model thumbnails) takes 30 % more than the new model."),
        (ROWS[:2], "Measured on 10 images that training never saw."),
    ],
)
def test_addition(rows: list[Row], words: str) -> None:
    assert words in addition(result(rows))


def test_a_model_pays_against_the_best_of_all_others() -> None:
    assert break_even(1000, ROWS, 10) == 5  # saves 210 bytes an image next to what is there, 310 next to JPEG XL
    assert break_even(1000, CODECS, 10) == 4
    assert break_even(1000, with_bytes(0, 9_000), 10) is None
    assert break_even(1000, ROWS[:1], 10) is None


def test_the_model_counts_once() -> None:
    assert in_all(result(), ROWS[0], 100) == 70_000
    assert in_all(result(), ROWS[1], 100) == 90_000
    assert in_all(result(), ROWS[2], 100) == 100_000


def test_table() -> None:
    lines = text_table(result()).splitlines()
    assert [line.split()[-2:] for line in lines[2:6]] == [
        ["6.90", "MB"],
        ["9.00", "MB"],
        ["10.0", "MB"],
        ["17.2", "MB"],
    ]
    assert lines[2].split()[:3] == ["mine", "690.0", "4.0000"]
    assert lines[4].split()[:5] == ["JPEG", "XL", "9", "1,000.0", "5.8000"]
    assert "+45 %" in lines[4] and "%" not in lines[2]
    assert " ".join(lines[7:]) == f"{headline(result())} {addition(result())}"


def test_table_fits_a_terminal() -> None:
    rows = [Row("n" * 90 + str(k), 987_654_321, 7.9999, kind) for k, kind in enumerate(("new", "shipped", "codec"))]
    assert max(map(len, text_table(result(rows)).splitlines())) <= 80
    assert "\x1b" not in text_table(result([Row("\x1b[2J", 9, 1.0, "new")], None))
