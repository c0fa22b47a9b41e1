"""Palettes of PNG files: pixels as the colours that they have, and of the palette what these do not tell.

So images that look alike are alike, whatever order each file's palette is in. That order is told by a *rule* that many
encoders follow, by the colours that the image uses: as they first come up, how often they do, by value. What a rule
does not tell is said besides: which colour comes earlier than it should, and which are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.files.packed import Sections, varint
from bitsback.files.picture import Images

MOST_PIXELS = 1 << 22
"""Of all images of a file: of more, indices are kept, which take less memory."""

Bytes = NDArray[np.uint8]


class Palette(NamedTuple):
    """The bodies of the chunks PLTE and tRNS; ``transparency`` is None without the latter."""

    colours: bytes
    transparency: bytes | None


class _Used(NamedTuple):
    """The colours of an image, ascending, as rows of 3 or 4 bytes, and what rules go by."""

    colours: Bytes
    counts: NDArray[np.int64]
    firsts: NDArray[np.int64]

    def opaque(self) -> NDArray[np.int64]:
        """1 for colours that hide what is behind them, else 0."""
        alpha = self.colours[:, 3] if self.colours.shape[1] == 4 else np.uint8(255)
        return np.broadcast_to(alpha == 255, len(self.colours)).astype(np.int64)

    def light(self) -> NDArray[np.int64]:
        """Luminance, in thousandths."""
        weighted: NDArray[np.int64] = self.colours[:, :3].astype(np.int64) @ np.array([299, 587, 114])
        return weighted


_RULES: tuple[Callable[[_Used], tuple[NDArray[np.int64], ...]], ...] = (
    lambda used: (used.firsts,),
    lambda used: (used.opaque(), -used.counts, used.firsts),
    lambda used: (-used.counts, used.firsts),
    lambda used: (),
    lambda used: (used.opaque(),),
    lambda used: (used.light(),),
    lambda used: (used.opaque(), used.light()),
    lambda used: (-used.light(),),
)
"""Keys that colours are sorted by, the first one first, and by their bytes where all of these are equal."""


def paint(parts: Sequence[Images], palette: Palette) -> tuple[list[Images], bytes] | None:
    """Images of indices (n, H, W, 1) -> images of colours, of 3 channels or, with transparency, of 4; and what is to be
    said of the palette. None if the colours do not tell the indices."""
    table = _table(palette)
    flat = np.concatenate([part.reshape(-1) for part in parts])
    if table is None or flat.size > MOST_PIXELS or int(flat.max()) >= len(table):
        return None
    pixels = [table[part[..., 0]] for part in parts]
    places, firsts, counts = np.unique(flat, return_index=True, return_counts=True)
    order = np.lexsort(table[places].T[::-1])
    used = _Used(table[places][order], counts[order], firsts[order])
    if len(np.unique(used.colours, axis=0)) < len(places):
        return None
    rank = np.full(len(table), -1)
    rank[places[order]] = np.arange(len(places))
    ways: list[list[int]] = []
    for rule in range(len(_RULES)):
        ways.append(_tokens(rank, _order(used, rule)))
        if not ways[-1]:
            break
    rule = min(range(len(ways)), key=lambda rule: sum(map(bool, ways[rule])))
    return pixels, _said(palette, table, rank, ways[rule], rule)


def unpaint(parts: Sequence[Images], said: bytes) -> tuple[list[Images], Palette]:
    """The inverse. ValueError for what cannot be one."""
    sections = Sections(said)
    rule, how, first, count = sections.take(1)[0], sections.varint(), sections.varint(), sections.varint()
    if rule >= len(_RULES) or count > 256:
        raise ValueError("a palette in an order that is not known")
    if sum(part.size // part.shape[3] for part in parts) > MOST_PIXELS:
        raise ValueError("a palette of too many pixels")
    tokens = [0] * first + [sections.varint() for _ in range(count)]
    keys = np.concatenate([_keys(part) for part in parts])
    found, firsts, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    channels = parts[0].shape[3]
    colours = found.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 4 - channels :]
    used = _Used(np.ascontiguousarray(colours), counts, firsts)
    left = list(_order(used, rule))
    if len(left) > 256:
        raise ValueError("an image of more colours than a palette has")
    table, index = [], np.zeros(len(left), np.uint8)
    for token in _all(tokens, len(left)):
        if token == 1:
            table.append(sections.take(channels))
            continue
        which = left.pop(max(token - 1, 0))
        index[which] = len(table)
        table.append(used.colours[which].tobytes())
    if left or len(table) > 256 or sections.rest():
        raise ValueError("a palette that does not fit its image")
    indices = index[inverse.reshape(-1)]
    out, at = [], 0
    for part in parts:
        size = part.shape[0] * part.shape[1] * part.shape[2]
        out.append(indices[at : at + size].reshape(*part.shape[:3], 1))
        at += size
    return out, _palette(np.frombuffer(b"".join(table), np.uint8).reshape(-1, channels), how)


def _table(palette: Palette) -> Bytes | None:
    """Colours as rows; None if the chunks are none of a palette."""
    colours, transparency = palette
    count = len(colours) // 3
    if len(colours) % 3 or not 1 <= count <= 256 or len(transparency or b"") > count:
        return None
    table = np.frombuffer(colours, np.uint8).reshape(-1, 3)
    if transparency is None:
        return table
    alpha = np.frombuffer(transparency.ljust(count, b"\xff"), np.uint8)
    return np.concatenate([table, alpha[:, None]], axis=1)


def _palette(table: Bytes, how: int) -> Palette:
    """The inverse; ``how``: 0 if tRNS ends with the last colour that is not opaque, else its size plus 1."""
    if table.shape[1] == 3:
        if how:
            raise ValueError("transparency of colours that have none")
        return Palette(table.tobytes(), None)
    size = how - 1 if how else _shortest(table)
    if size > len(table) or (table[size:, 3] != 255).any():
        raise ValueError("a palette with less transparency than it has")
    return Palette(table[:, :3].tobytes(), table[:size, 3].tobytes())


def _shortest(table: Bytes) -> int:
    seen = np.flatnonzero(table[:, 3] != 255)
    return int(seen[-1]) + 1 if len(seen) else 0


def _order(used: _Used, rule: int) -> list[int]:
    """The numbers of the colours as a rule orders them."""
    keys = (*_RULES[rule](used), np.arange(len(used.colours)))
    return [int(number) for number in np.lexsort(keys[::-1])]


def _tokens(rank: NDArray[np.int64], order: list[int]) -> list[int]:
    """For each entry of a palette: 0, the next of the order; 1, a colour that is not used; k + 1, the k-th after it."""
    left, tokens = list(order), []
    for which in rank.tolist():
        if which < 0:
            tokens.append(1)
        else:
            at = left.index(which)
            left.pop(at)
            tokens.append(at + 1 if at else 0)
    while tokens and tokens[-1] == 0:
        tokens.pop()
    return tokens


def _all(tokens: Sequence[int], used: int) -> Iterator[int]:
    """The tokens, and then zeros for the rest of the colours that are used."""
    yield from tokens
    yield from [0] * (used - sum(token != 1 for token in tokens))


def _said(palette: Palette, table: Bytes, rank: NDArray[np.int64], tokens: list[int], rule: int) -> bytes:
    how = 0
    if palette.transparency is not None and len(palette.transparency) != _shortest(table):
        how = len(palette.transparency) + 1
    first = next((place for place, token in enumerate(tokens) if token), 0)
    listed = b"".join(map(varint, tokens[first:]))
    return bytes([rule]) + b"".join(map(varint, (how, first, len(tokens) - first))) + listed + table[rank < 0].tobytes()


def _keys(part: Images) -> NDArray[np.uint32]:
    """A number for each pixel, ascending as its bytes do."""
    pixels = part.reshape(-1, part.shape[3]).astype(np.uint32)
    keys = pixels[:, 0]
    for channel in range(1, part.shape[3]):
        keys = keys << np.uint32(8) | pixels[:, channel]
    return keys


__all__ = ["Palette", "paint", "unpaint"]
