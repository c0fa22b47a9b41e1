"""A file in a file: taken apart like any other, if it comes back; and which parts of a recipe are whose."""

from __future__ import annotations

from collections.abc import Callable

from bitsback.errors import BitsBackError, FormatError, ImageError, InexactEngineError, KernelError
from bitsback.files import formats
from bitsback.files.bulk import check_bulk
from bitsback.files.picture import Budget, Buffer, Content, Images, Recipe

NO_FAULT_OF_A_FILE = (MemoryError, OSError, ImportError, KernelError, InexactEngineError)
"""Errors of this machine, or of ours: whatever meets them must not go on as if a file were damaged."""

Read = Callable[[Buffer, Budget], Content]
"""Takes a file apart; raises as the readers of formats do."""


def attempt(data: Buffer, budget: Budget, read: Read | None = None) -> Content | None:
    """What a file in a file holds, by ``read`` or as its first bytes announce; None if it is best kept as bytes."""
    name = None if read else formats.recognise(data)
    if (name is None and read is None) or budget.left <= 0:
        return None
    try:
        before = budget.left
        content = read(data, budget) if read else formats.read(name or "", data, budget=budget)
        check_bulk(content.recipe, [part.shape for part in content.parts], len(data))
        budget.at_least(before, sum(part.nbytes for part in content.parts))
        same = content.sure or formats.write(content.recipe, content.blob, content.parts) == data
        return content if same and content.exact else None
    except (ImageError, FormatError):
        return None
    except (BitsBackError, *NO_FAULT_OF_A_FILE):
        raise
    except Exception:  # whatever a damaged file does to a parser
        return None


def write_inner(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """A file in a file again; without a recipe, its blob."""
    if recipe:
        return formats.write(recipe, blob, parts)
    if parts:
        raise ValueError("bytes have no arrays")
    return blob


__all__ = ["NO_FAULT_OF_A_FILE", "Read", "attempt", "write_inner"]
