"""The gallery as one static file, for those without bitsback: small pictures and their names, and no more."""

from __future__ import annotations

import base64
from collections.abc import Callable
from html import escape

from bitsback.errors import BitsBackError
from bitsback.report.page import document
from bitsback.view.gallery import Gallery

MOST = 5000
"""Images in one file, evenly spread where there are more."""

EDGE = 96


def page(gallery: Gallery, title: str, progress: Callable[[int], object] = lambda size: None) -> str:
    """An HTML page that needs nothing but itself; ``title`` is text. ``progress`` is called with the bytes of the
    archive, or so, that were newly read."""
    total, size = len(gallery), gallery.archive.size
    count = min(total, MOST)
    cells = []
    for k in range(count):
        progress(size * (k + 1) // count - size * k // count)
        number = k * total // count
        _, (shown, *_) = gallery.list(number, 1)
        name = escape(shown.name)
        try:
            data = base64.b64encode(gallery.picture(number, EDGE)).decode()
        except BitsBackError:
            cells.append(f'<span title="{name}">damaged</span>')
            continue
        small = " class=coarse" if 0 < max(shown.height, shown.width) < EDGE else ""
        cells.append(f'<img src="data:image/png;base64,{data}" alt="{name}" title="{name}" loading="lazy"{small}>')
    head = f"<h1>{escape(title)}</h1>\n"
    told = f"{total:,} images" if count == total else f"{count:,} of {total:,} images, evenly spread"
    return document(title, head, f'<p>{told}</p>\n<div class="thumbs">{" ".join(cells)}</div>\n', "bitsback")


__all__ = ["page"]
