"""Samples at places, by docs/format.md alone: LZW and PackBits in plain Python."""

import zlib

from archive import plain_deflate, plain_reader


def file_of(recipes, blob, arrays):
    source = plain_reader.Bytes(blob)
    pieces = []
    for recipe, images in zip(recipes, arrays, strict=True):
        ends = b""
        if recipe.get("beside"):
            layout = recipe["layout"]
            row = images.shape[2] * images.shape[3] * layout.get("bits", 8)
            size = len(plain_reader.raster(images[:1, :1], layout)) - row // 8
            ends = source.take(images.shape[0] * images.shape[1] * size)
        whole, left = plain_reader.with_ends(images, recipe, ends)
        assert not left
        spans, at = [], 0
        for gap, size in zip(recipe["at"][::2], recipe["at"][1::2], strict=True):
            spans.append((at + gap, size))
            at += gap + size
        if "codec" in recipe:
            pieces += coded(recipe, whole, spans, source)
        else:
            at = 0
            for start, size in spans:
                pieces.append((start, whole[at : at + size]))
                at += size
            assert at == len(whole)
    out = b""
    for start, piece in sorted(pieces):
        out += source.take(start - len(out)) + piece
    return out + source.take(source.left)


def coded(recipe, whole, spans, source):
    page, step = recipe["page"], recipe["step"]
    plain = [whole[at : at + page][k : k + step] for at in range(0, len(whole), page) for k in range(0, page, step)]
    hows = [how for count, how in recipe["coded"] for _ in range(count)]
    for (start, size), piece, how in zip(spans, plain, hows, strict=True):
        choices, following = source.take(source.varint()), source.take(source.varint())
        data = {"zlib": deflated, "lzw": lzw, "packbits": packbits}[recipe["codec"]](piece, how, choices) + following
        assert len(data) == size
        yield start, data


def deflated(piece, how, choices):
    ending = zlib.adler32(piece).to_bytes(4, "big") if how[2] else b""
    return bytes(how[:2]) + plain_deflate.deflated(piece, how[3:], choices) + ending


def lzw(piece, how, choices):
    source = plain_reader.Bytes(choices)
    if how:
        runs = [0, *[how[1]] * how[0], source.varint()]
    else:
        runs = [source.varint() for _ in range(source.varint())]
    bits, at = "", 0
    for number, run in enumerate(runs):
        table = {bytes([byte]): byte for byte in range(256)}
        width, known = 9, 258
        for k in range(run):
            stop = at + 1
            while stop < len(piece) and piece[at : stop + 1] in table:
                stop += 1
            bits += f"{table[piece[at:stop]]:0{width}b}"
            if stop < len(piece) and len(table) + 2 < 4096:
                table[piece[at : stop + 1]] = len(table) + 2
            known = min(known + (k > 0), 4096)
            width += known + 1 >= 2**width and width < 12
            at = stop
        bits += f"{256 + (number == len(runs) - 1):0{width}b}"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def packbits(piece, how, choices):
    out, at = b"", 0
    for head in choices:
        taken = 1 + head if head < 128 else int(head > 128)
        out += bytes([head]) + piece[at : at + taken]
        at += taken if head < 128 else (257 - head) * taken
    assert at == len(piece) and how == 0
    return out
