"""Inputs whose order means nothing: put in the order of their pixels, which models then do not pay for.

The order of n different images is worth log2(n!) bits; models get them back where images come sorted
(:mod:`bitsback.kinds.chain`). So an array's images are sorted, and the images of a folder get names by
number, in the order of their pixels. What is no image keeps its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import msgspec

from bitsback import files
from bitsback.archive.gather import Source, Stamp, read_image
from bitsback.archive.limits import DEFAULT_LIMITS
from bitsback.archive.member import Type
from bitsback.errors import BitsBackError
from bitsback.files import Picture


def unordered(sources: Sequence[Source], folder: Path) -> tuple[list[Source], int, int]:
    """The sources to store instead: how many arrays were sorted, and how many files renamed.

    Args:
        folder: where files with sorted arrays may be put; they must be there until they were stored.
    """
    found: list[Source] = []
    alone: dict[tuple[PurePosixPath, str], list[tuple[tuple[object, ...], Source]]] = {}
    arrays = 0
    for source in sources:
        picture = _picture(source)
        if picture is None or len(picture.parts) != 1 or picture.coefficients:
            found.append(source)
        elif len(picture.parts[0]) > 1:
            path = folder / str(arrays)
            path.write_bytes(_in_order(picture))
            info = path.stat()
            entry = msgspec.structs.replace(source.entry, size=info.st_size)
            found.append(Source(entry, str(path), Stamp.of(info)))
            arrays += 1
        else:
            part, name = picture.parts[0], PurePosixPath(source.name)
            key = (part.shape[1:], part.dtype.itemsize, part.tobytes())
            alone.setdefault((name.parent, name.suffix), []).append((key, source))
    taken = {source.name for source in found}
    for (parent, suffix), images in alone.items():
        images.sort(key=lambda one: one[0])
        digits, number = len(str(len(images))), 0
        for _, source in images:
            while (called := str(parent / f"{number:0{digits}}{suffix}")) in taken:
                number += 1
            taken.add(called)
            found.append(replace(source, entry=msgspec.structs.replace(source.entry, name=called)))
    # Folders before what is in them, and numbers in their order
    found.sort(key=lambda source: (source.entry.type != Type.FOLDER, source.name))
    return found, arrays, sum(map(len, alone.values()))


def _picture(source: Source) -> Picture | None:
    """What a file holds, if it is of one name and may be an image."""
    if source.entry.type != Type.FILE or source.stamp.links > 1:
        return None
    try:
        data = read_image(source, DEFAULT_LIMITS.memory // 4)
        return None if data is None else files.parse(data, source.name, pixels=True)
    except BitsBackError:
        return None


def _in_order(picture: Picture) -> bytes:
    """The file with its images sorted by their samples, first to last."""
    (images,) = picture.parts
    order = sorted(range(len(images)), key=lambda i: images[i].astype(images.dtype.newbyteorder(">")).tobytes())
    return files.write(picture.recipe, picture.blob, [images[order]])
