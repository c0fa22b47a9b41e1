"""What came out of a run, in words and as a table for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from bitsback.report.words import count, fit, percent, size
from bitsback.training.result import Result, Row

COUNTED = 10_000
"""Images that the table for a terminal counts the model's file for."""

ALIKE = 5e-4
"""Sizes that differ by less than this share are the same, in words."""


def headline(result: Result) -> str:
    """What came out, in a sentence: against the best of all that there is already.

    >>> from types import SimpleNamespace as Some
    >>> rows = [Row("mine", 69, 4.0, "new"), Row("WebP", 100, 5.8, "codec")]
    >>> headline(Some(table=rows, break_even=340, held_out=[0]))
    'Your images take 31 % less than with the best of the others, WebP; the model has paid for itself after 340 images.'
    """
    new, other = result.table[0], best(result.table)
    if other is None:
        return f"Your images take {new.bytes / len(result.held_out):,.0f} bytes each."
    others = f"with {_named(other)}"
    saved = 1 - new.bytes / other.bytes
    if saved < ALIKE or result.break_even is None:
        more = "as much as" if abs(saved) < ALIKE else f"{percent(new.bytes / other.bytes - 1)} more than"
        return f"Your images take {more} {others}: this model does not pay."
    after = count(result.break_even, "image")
    return f"Your images take {percent(saved)} less than {others}; the model has paid for itself after {after}."


def _named(row: Row) -> str:
    return row.name if row.kind == "shipped" else f"the best of the others, {row.name}"


def addition(result: Result) -> str:
    """How many images were measured, and how what the headline does not name compares."""
    new, other = result.table[0], best(result.table)
    measured = f"Measured on {count(len(result.held_out), 'image')} that training never saw."
    kind = "codec" if other is not None and other.kind == "shipped" else "shipped"
    rest = best([row for row in result.table if row.kind == kind])
    if rest is None:
        return measured
    more, name = rest.bytes / new.bytes - 1, rest.name[:1].upper() + rest.name[1:]
    if abs(more) < ALIKE:
        return f"{measured} {name} takes as much as the new model."
    return f"{measured} {name} takes {percent(abs(more))} {'less' if more < 0 else 'more'} than the new model."


def text_table(result: Result) -> str:
    """The table for a terminal, at most 80 columns wide, and what it says.

    One row a codec: bytes an image, bits/dim, by how much its files are larger than with the new model, and the size of
    10,000 images, the model's own file counted.
    """
    cells = [("", "bytes", "bits", "against", f"{COUNTED:,} images"), ("", "an image", "/dim", "the new", "with model")]
    for row in result.table:
        each, total = row.bytes / len(result.held_out), size(in_all(result, row, COUNTED))
        cells.append((fit(row.name, 34), f"{each:,.1f}", f"{row.bits_per_dim:.4f}", against(result, row), total))
    first, *others = (max(len(line[k]) for line in cells) for k in range(5))
    lines = [
        "  ".join([line[0].ljust(first), *(cell.rjust(w) for cell, w in zip(line[1:], others, strict=True))]).rstrip()
        for line in cells
    ]
    return "\n".join([*lines, "", *textwrap.wrap(f"{headline(result)} {addition(result)}", 80)])


def best(rows: Sequence[Row]) -> Row | None:
    """The row with the fewest bytes, but for the new model's."""
    return min((row for row in rows if row.kind != "new"), key=lambda row: row.bytes, default=None)


def in_all(result: Result, row: Row, images: int) -> float:
    """Bytes of so many images, and of the model's file where it is the new one."""
    own = len(result.model.data) if row.kind == "new" else 0
    return images * row.bytes / len(result.held_out) + own


def against(result: Result, row: Row) -> str:
    """By how much a row is larger or smaller than the new model's; nothing for that itself."""
    new = result.table[0]
    return "" if row is new else f"{'+' if row.bytes >= new.bytes else '-'}{percent(abs(row.bytes / new.bytes - 1))}"
