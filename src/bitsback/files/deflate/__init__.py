"""Deflate streams, byte for byte: what their encoders chose, as a recipe that makes the same bytes on every machine.

plain, rules, corrections, size = take_apart(data, limit)
data[:size] == put_together(plain, rules, corrections)
"""

from __future__ import annotations

from bitsback.files.deflate.recipe import Recipe, rebuild
from bitsback.files.deflate.search import explain, explain_by
from bitsback.files.deflate.stream import parse, write
from bitsback.files.picture import Buffer, UnexplainedError

SHARE = 4
"""Corrections may take one part in so many of a stream; else it is not worth to take it apart."""


def take_apart(data: Buffer, limit: int) -> tuple[bytes, list[int], bytes, int]:
    """The plain bytes of a deflate stream at the beginning of ``data``, the rules of its encoder as a list for JSON,
    corrections to them, and the size of the stream.

    Raises ImageError if the stream is damaged or holds more than ``limit`` bytes, UnexplainedError if it would need too
    many corrections.
    """
    plain, stream, size = parse(data, limit)
    recipe = explain(plain, stream, size // SHARE + 64)
    if recipe is None:
        raise UnexplainedError("its deflate stream is by an unknown encoder")
    return plain, list(recipe.rules), recipe.corrections, size


def corrections_by(data: Buffer, limit: int, rules: list[int], most: int) -> bytes | None:
    """The corrections by given rules, if they take no more than ``most`` bytes. Raises as :func:`take_apart` does."""
    plain, stream, _ = parse(data, limit)
    recipe = explain_by(plain, stream, (rules[0], rules[1], rules[2], rules[3], rules[4]), most)
    return None if recipe is None else recipe.corrections


def put_together(plain: Buffer, rules: list[int], corrections: bytes) -> bytes:
    """The stream again. Raises ValueError if rules and corrections cannot be followed."""
    if len(rules) != 5:
        raise ValueError("rules of a deflate encoder are five numbers")
    return write(plain, rebuild(plain, Recipe((rules[0], rules[1], rules[2], rules[3], rules[4]), corrections)))


__all__ = ["corrections_by", "put_together", "take_apart"]
