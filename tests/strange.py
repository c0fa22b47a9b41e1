"""PNG files by an encoder that is nobody's: like zlib, but now and then it makes two of a match."""

import struct
import zlib

import numpy as np

from bitsback.files.deflate.stream import Stream, parse, write
from bitsback.files.deflate.symbols import LENGTHS, TOKEN_BITS


def strange_png(image: np.ndarray, share: float, seed: int = 0) -> bytes:
    """A grey image of 8 bits, of whose longer matches such a ``share`` are cut in two."""
    rows = np.zeros((len(image), 1 + image.shape[1]), np.uint8)
    rows[:, 1:] = image
    plain = rows.tobytes()
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15, 9, zlib.Z_FIXED)
    _, stream, _ = parse(deflater.compress(plain) + deflater.flush(), len(plain))
    rng = np.random.default_rng(seed)
    tokens: list[int] = []
    for token in stream.tokens.tolist():
        length, distance = token & LENGTHS, token >> TOKEN_BITS
        if length >= 6 and rng.random() < share:
            first = int(rng.integers(3, length - 2))
            tokens += [distance << TOKEN_BITS | one for one in (first, length - first)]
        else:
            tokens.append(token)
    blocks = stream.blocks[:1].copy()
    blocks[0, :4] = 1, 1, len(tokens), len(plain)
    strange = write(plain, Stream(np.array(tokens, np.int32), blocks, stream.items))
    assert zlib.decompress(strange, -15) == plain
    body = b"\x78\x9c" + strange + zlib.adler32(plain).to_bytes(4, "big")
    header = struct.pack(">IIBBBBB", image.shape[1], image.shape[0], 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*one) for one in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b"")))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
