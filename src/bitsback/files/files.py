"""Take a file apart, put it together again, and believe neither until they agree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import BitsBackError, FormatError, ImageError
from bitsback.files import arrays, formats
from bitsback.files.bulk import check_bulk
from bitsback.files.picture import Buffer, Images, NoImageError, Picture, Recipe, UnexplainedError
from bitsback.files.raster import Shape
from bitsback.files.within import NO_FAULT_OF_A_FILE as NO_FAULT_OF_A_FILE

if TYPE_CHECKING:
    from bitsback.files.listing import Inside


def parse(data: Buffer, name: str = "", pixels: bool = False) -> Picture:
    """Take a file's bytes apart; ``name`` tells what the file claims to be. With ``pixels``, deflated files only have
    to keep their pixels and metadata, and may be deflated anew.

    Whatever is wrong with it, the answer is a Picture: at worst its bytes and a note. Parts are read-only where they
    are views of ``data``.

    >>> picture = parse(b"P5 3 2 255 abcdef")
    >>> picture.parts[0].shape, picture.recipe, picture.blob
    ((1, 2, 3, 1), {'format': 'pnm', 'head': 11, 'layout': {}}, b'P5 3 2 255 ')
    >>> write(picture.recipe, picture.blob, picture.parts)
    b'P5 3 2 255 abcdef'
    >>> parse(b"hello").raw
    b'hello'
    """
    claimed = formats.claimed(PurePosixPath(name).suffix)
    found = formats.recognise(data)
    note, unexplained = "", False
    if found is None:
        note = f"not a {claimed} file" if claimed else ""
    else:
        try:
            content = formats.read(found, data, pixels)
            check_bulk(content.recipe, [part.shape for part in content.parts], len(data), not pixels)
            again = data if content.sure else formats.write(content.recipe, content.blob, content.parts)
            if (exact := again == data) or (pixels and formats.read(found, again, pixels).same(content)):
                return Picture(
                    content.parts,
                    content.recipe,
                    content.blob,
                    exact=exact and content.exact,
                    corrections=content.corrections,
                    coefficients=formats.coefficients(content.recipe, len(content.parts)),
                )
            note = "it would not come back unchanged"
        except NoImageError:
            note = ""
        except (ImageError, FormatError) as error:
            note, unexplained = str(error), isinstance(error, UnexplainedError)
        except (BitsBackError, *NO_FAULT_OF_A_FILE):
            raise
        except Exception as error:  # whatever a damaged file does to a parser, the folder goes on
            note = f"damaged ({type(error).__name__}: {error})".replace("\n", " ")
        if found != claimed and not formats.FORMATS[found].certain:
            note = ""
    return Picture(raw=bytes(data), note=note, unexplained=unexplained)


def from_array(array: NDArray[Any]) -> Picture:
    """The Picture of the ``.npy`` file that ``numpy.save`` would make of ``array``; its parts may be views of it.

    Raises ImageError for an array that would not come back as it is: with a mask, of objects, of bfloat16 ...

    >>> import numpy as np
    >>> from_array(np.zeros((5, 28, 28), np.uint8)).parts[0].shape
    (5, 28, 28, 1)
    """
    try:
        content = arrays.read_array(array)
    except ImageError:
        content = None
    if content is not None:
        return Picture(content.parts, content.recipe, content.blob)
    return parse(arrays.npy_bytes(array))


def innermost(recipe: Recipe, blob: bytes, shapes: list[Shape], part: int) -> tuple[Recipe, bytes, range]:
    """Of a file, or the file within it, that has the array ``part``: recipe, blob, and which of ``shapes`` it has.

    Raises FormatError if recipe, blob and shapes do not fit together.
    """
    if not formats.nests(recipe) and "inner" not in recipe:
        return recipe, blob, range(len(shapes))
    from bitsback.files import places

    with _following():
        return places.innermost(recipe, blob, shapes, part)


def inside(recipe: Recipe, blob: bytes, shapes: list[Shape]) -> list[Inside]:
    """What is in a tar or zip file, with or without gzip, and in those within; nothing in other files.

    Raises FormatError if recipe, blob and shapes do not fit together.
    """
    if recipe.get("format") not in formats.HOLDERS:
        return []
    from bitsback.files import listing

    with _following():
        return list(listing.inside(recipe, blob, shapes))


def values(recipe: Recipe, blob: bytes, parts: list[Images]) -> list[NDArray[Any]]:
    """The arrays of a file as the numbers that it holds, (n, height, width, channels) each: signed, wide and
    floating-point ones have several parts, or parts of another type. A JPEG file has the image that Pillow decodes.

    Raises FormatError if recipe, blob and parts do not fit together, and MemoryError.
    """
    from bitsback.files import typed

    with _following():
        return list(typed.values(recipe, blob, parts))


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file's bytes again. Raises FormatError if recipe, blob and parts do not fit together, and MemoryError."""
    with _following():
        for part in parts:
            if part.ndim != 4 or part.size == 0 or part.dtype not in (np.uint8, np.uint16):
                raise ValueError("a part is not an array of images")
        return formats.write(recipe, blob, parts)


@contextmanager
def _following() -> Iterator[None]:
    """Whatever following a recipe raises is a FormatError, but for faults of this machine."""
    try:
        yield
    except NO_FAULT_OF_A_FILE:
        raise
    except Exception as error:  # recipe and blob come from an archive that nobody vouches for
        reason = str(error).replace("\n", " ")
        raise FormatError(f"the recipe of a file cannot be followed ({type(error).__name__}: {reason})") from None
