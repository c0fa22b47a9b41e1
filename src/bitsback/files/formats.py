"""The formats by name: which one a file's first bytes announce, and how it is read and written.

The modules are imported when they are needed, so that a folder of text never waits for the compiler.
"""

from __future__ import annotations

from bitsback.files.picture import Buffer, Content, Images, Recipe

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "npz"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"\x00\x00\x08\x03", "idx"),
    (b"\x00\x00\x08\x04", "idx"),
    (b"BM", "bmp"),
    *((b"P%d%c" % (kind, space), "pnm") for kind in range(1, 7) for space in b" \t\r\n#"),
)


def recognise(data: Buffer) -> str | None:
    """The format that the first bytes announce."""
    head = bytes(data[:8])
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


def read(name: str, data: Buffer) -> Content:
    """Take apart a file of the format ``name``. Raises ImageError; on damaged files also the errors of parsing
    (ValueError, IndexError, struct.error ...)."""
    if name == "png":
        from bitsback.files import png

        return png.read(data)
    if name == "npz":
        from bitsback.files import npz

        return npz.read(data)
    if name == "gzip":
        from bitsback.files import gz

        return gz.read(data)
    if name in ("npy", "idx"):
        from bitsback.files import arrays

        return arrays.read_npy(data) if name == "npy" else arrays.read_idx(data)
    if name == "bmp":
        from bitsback.files import bmp

        return bmp.read(data)
    if name == "tiff":
        from bitsback.files import tiff

        return tiff.read(data)
    from bitsback.files import pnm

    return pnm.read(data)


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file again. Raises ValueError, KeyError, TypeError ... if recipe, blob and parts do not fit together."""
    name = recipe["format"]
    if name == "png":
        from bitsback.files import png

        return png.write(recipe, blob, parts)
    if name == "npz":
        from bitsback.files import npz

        return npz.write(recipe, blob, parts)
    if name == "gzip":
        from bitsback.files import gz

        return gz.write(recipe, blob, parts)
    if name == "words":
        from bitsback.files import words

        return words.write(recipe, blob, parts)
    if name == "pnm":
        from bitsback.files import pnm

        return pnm.write(recipe, blob, parts)
    if name in ("npy", "idx", "bmp", "tiff"):
        from bitsback.files import raster

        return raster.write_place(recipe, blob, parts)
    raise ValueError(f"unknown image format {name!r}")


def holds(name: str, data: Buffer, content: Content) -> bool:
    """Whether ``content``, written and read again, is the same as before."""
    again = write(content.recipe, content.blob, content.parts)
    return again == data or read(name, again).same(content)
