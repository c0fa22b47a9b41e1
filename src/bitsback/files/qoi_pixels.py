"""The pixels of QOI, both ways: its reference encoder leaves nothing to choose. (qoiformat.org, 1.0)"""

from __future__ import annotations

import numpy as np

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer
from bitsback.kernels import helper, kernel


@helper
def _slot(pixel):  # type: ignore[no-untyped-def]
    """Where a colour is remembered."""
    return (pixel[0] * 3 + pixel[1] * 5 + pixel[2] * 7 + pixel[3] * 11) & 63


@kernel
def _decode(data, channels, plain, seen, pixel):  # type: ignore[no-untyped-def]
    """Decode until ``plain`` is full; return the bytes read, or -1. ``seen``: int64 (64, 4); ``pixel``: int64 (4,)."""
    at, size = 0, 0
    while size < plain.size:
        if at >= data.size:
            return -1
        tag = np.int64(data[at])
        at += 1
        count = np.int64(1)
        more = (3 if tag == 254 else 4) if tag >= 254 else (1 if tag >> 6 == 2 else 0)
        if at + more > data.size:
            return -1
        if tag >= 254:
            for c in range(more):
                pixel[c] = data[at + c]
        elif tag >> 6 == 0:
            for c in range(4):
                pixel[c] = seen[tag, c]
        elif tag >> 6 == 1:
            pixel[0] = (pixel[0] + (tag >> 4 & 3) - 2) & 255
            pixel[1] = (pixel[1] + (tag >> 2 & 3) - 2) & 255
            pixel[2] = (pixel[2] + (tag & 3) - 2) & 255
        elif tag >> 6 == 2:
            green, other = (tag & 63) - 32, np.int64(data[at])
            pixel[0] = (pixel[0] + green + (other >> 4) - 8) & 255
            pixel[1] = (pixel[1] + green) & 255
            pixel[2] = (pixel[2] + green + (other & 15) - 8) & 255
        else:
            count = (tag & 63) + 1
        at += more
        slot = _slot(pixel)
        for c in range(4):
            seen[slot, c] = pixel[c]
        if size + count * channels > plain.size:
            return -1
        for _ in range(count):
            for c in range(channels):
                plain[size + c] = pixel[c]
            size += channels
    return at


@kernel
def _encode(plain, channels, data, seen, pixel, now):  # type: ignore[no-untyped-def]
    """The inverse; return the bytes written, or -1 if there is no room."""
    at, run, count = 0, 0, plain.size // channels
    for i in range(count):
        if at + 6 > data.size:
            return -1
        same = 1
        for c in range(channels):
            now[c] = plain[i * channels + c]
        for c in range(4):
            same *= now[c] == pixel[c]
        if same == 1:
            run += 1
        if run > 0 and (run == 62 or same == 0 or i == count - 1):
            data[at] = 191 + run
            at += 1
            run = 0
        if same == 0:
            slot = _slot(now)
            known = 1
            for c in range(4):
                known *= seen[slot, c] == now[c]
                seen[slot, c] = now[c]
            red = ((now[0] - pixel[0] + 128) & 255) - 128
            green = ((now[1] - pixel[1] + 128) & 255) - 128
            blue = ((now[2] - pixel[2] + 128) & 255) - 128
            if known == 1:
                data[at] = slot
                at += 1
            elif now[3] != pixel[3]:
                data[at] = 255
                for c in range(4):
                    data[at + 1 + c] = now[c]
                at += 5
            elif min(red, green, blue) >= -2 and max(red, green, blue) <= 1:
                data[at] = 64 | (red + 2) << 4 | (green + 2) << 2 | (blue + 2)
                at += 1
            elif -32 <= green <= 31 and -8 <= red - green <= 7 and -8 <= blue - green <= 7:
                data[at] = 128 | (green + 32)
                data[at + 1] = (red - green + 8) << 4 | (blue - green + 8)
                at += 2
            else:
                data[at] = 254
                for c in range(3):
                    data[at + 1 + c] = now[c]
                at += 4
            for c in range(4):
                pixel[c] = now[c]
    return at


def decode(data: Buffer, limit: int, channels: int) -> tuple[bytes, int]:
    """``limit`` plain bytes, and the size of what was decoded. Raises ImageError if it is damaged, or chosen
    otherwise."""
    plain = np.empty(limit, np.uint8)
    size = _decode(np.frombuffer(data, np.uint8), channels, plain, *_start())
    if size < 0 or limit % channels:
        raise ImageError("damaged QOI data")
    if encode(plain.tobytes(), channels) != bytes(data[:size]):
        raise ImageError("QOI data by an unknown encoder")
    return plain.tobytes(), int(size)


def encode(plain: Buffer, channels: int) -> bytes:
    """The inverse."""
    if channels not in (3, 4) or len(plain) % channels:
        raise ValueError("pixels of another size")
    data = np.empty(len(plain) * 2 + 8, np.uint8)
    size = _encode(np.frombuffer(plain, np.uint8), channels, data, *_start(), _start()[1])
    return data[:size].tobytes()


def _start() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((64, 4), np.int64), np.array([0, 0, 0, 255], np.int64)


__all__ = ["decode", "encode"]
