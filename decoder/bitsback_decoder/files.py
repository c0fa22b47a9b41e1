"""PNG, gzip and npz files from their recipes, written from docs/format.md ("Recipes") alone."""

import math
import struct
import zlib

import numpy as np

from bitsback_decoder.deflate import Numbers, deflated

ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def section(blob):
    return blob.take(blob.varint())


def several(blob):
    return blob.varints(blob.varint())


def palette(said, pixels):
    """Indices, in the place of pixels (n, channels), and the bodies of PLTE and tRNS."""
    rule, how, first, count = said.take(1)[0], said.varint(), said.varint(), said.varint()
    tokens = [0] * first + [said.varint() for _ in range(count)]
    colours = [tuple(pixel) for pixel in pixels.tolist()]
    used = sorted(set(colours))
    count, first = {c: colours.count(c) for c in used}, {c: colours.index(c) for c in used}
    light = {c: 299 * c[0] + 587 * c[1] + 114 * c[2] for c in used}
    opaque = {c: len(c) == 3 or c[3] == 255 for c in used}
    left = sorted(
        used,
        key=[
            lambda c: first[c],
            lambda c: (opaque[c], -count[c], first[c]),
            lambda c: (-count[c], first[c]),
            lambda c: c,
            lambda c: (opaque[c], c),
            lambda c: (light[c], c),
            lambda c: (opaque[c], light[c], c),
            lambda c: (-light[c], c),
        ][rule],
    )
    table, index = [], {}
    while tokens or left:
        token = tokens.pop(0) if tokens else 0
        if token != 1:
            colour = left.pop(max(token - 1, 0))
            index[colour] = len(table)
        table.append(tuple(said.take(pixels.shape[1])) if token == 1 else colour)
    assert len(table) <= 256
    alphas = [colour[3] for colour in table] if pixels.shape[1] == 4 else []
    size = how - 1 if how else max((place + 1 for place, alpha in enumerate(alphas) if alpha != 255), default=0)
    assert all(alpha == 255 for alpha in alphas[size:])
    plte = b"".join(bytes(colour[:3]) for colour in table)
    return np.array([index[colour] for colour in colours], np.uint8), {"PLTE": plte, "tRNS": bytes(alphas[:size])}


def png(recipe, blob, arrays):
    names = recipe.get("chunks", "IDAT").split()
    palettes = {}
    if recipe.get("palette"):
        said = type(blob)(section(blob))
        flat = np.concatenate([array.reshape(-1, array.shape[3]) for array in arrays])
        indices, palettes = palette(said, flat)
        ends = np.cumsum([array.size // array.shape[3] for array in arrays])[:-1]
        arrays = [
            part.reshape(*array.shape[:3], 1) for part, array in zip(np.split(indices, ends), arrays, strict=True)
        ]
    frames = [frame for array in arrays for frame in array]
    entries = recipe["images"] if len(recipe["images"]) > 1 else recipe["images"] * len(frames)
    depth, colour, interlace = recipe["depth"], recipe["colour"], recipe.get("interlace", 0)
    left = list(zip(frames, entries, strict=True))
    chunks, sequence = [], -1
    for name in names:
        if name in ("IDAT", "fdAT"):
            frame, entry = left.pop(0)
            if name == "IDAT":
                first = frame
            for piece in pieces_of(frame, entry, depth, interlace, blob):
                if name == "fdAT":
                    sequence += 1
                chunks.append((name, (struct.pack(">I", sequence % 2**32) if name == "fdAT" else b"") + piece))
        else:
            chunks.append((name, palettes.pop(name) if name in palettes else section(blob)))
            if name == "fcTL" and len(chunks[-1][1]) == 26:
                (sequence,) = struct.unpack(">I", chunks[-1][1][:4])
    assert not left and names.count("IDAT") == 1
    height, width = first.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    chunks = [("IHDR", header), *chunks, ("IEND", b"")]
    sums = [struct.pack(">I", zlib.crc32(name.encode() + body)) for name, body in chunks]
    for number in several(blob) if recipe.get("crc") else []:
        sums[number] = None
    sums = [blob.take(4) if one is None else one for one in sums]
    out = [b"\x89PNG\r\n\x1a\n"]
    for (name, body), check in zip(chunks, sums, strict=True):
        out += [struct.pack(">I", len(body)), name.encode(), body, check]
    return b"".join(out) + blob.rest()


def pieces_of(frame, entry, depth, interlace, blob):
    """The bodies of the chunks of an image."""
    how = entry.get("filter", 0)
    told = Numbers(section(blob)) if isinstance(how, list) else None
    corrections = section(blob) if entry.get("corrected") else b""
    lines = filtered_rows(frame, depth, interlace, how, told)
    stream = deflated(lines, entry["deflate"], corrections)
    tail = section(blob) if entry.get("tail") else struct.pack(">I", zlib.adler32(lines))
    whole = struct.pack(">H", entry.get("head", 30876)) + stream + tail
    cut = entry.get("cut", len(whole))
    if cut == 0:
        sizes = several(blob)
        assert sum(sizes) == len(whole)
        return [whole[sum(sizes[:k]) : sum(sizes[: k + 1])] for k in range(len(sizes))]
    return [whole[at : at + cut] for at in range(0, len(whole), cut)]


def filtered_rows(frame, depth, interlace, how, told):
    channels = frame.shape[2]
    step = math.ceil(channels * depth / 8)
    out, before = [], 0
    for x, y, dx, dy in ADAM7 if interlace else [(0, 0, 1, 1)]:
        samples = frame[y::dy, x::dx]
        if not samples.size:
            continue
        above = np.zeros(math.ceil(samples.shape[1] * channels * depth / 8), np.int64)
        for row in samples:
            values = row.reshape(-1).astype(np.int64)
            bits = (values[:, None] >> np.arange(depth - 1, -1, -1)) & 1
            plain = np.packbits(bits.reshape(-1).astype(np.uint8)).astype(np.int64)
            every = filters(plain, above, step)
            above = plain
            if isinstance(how, int):
                kind = how
            else:
                order = [int(digit) for digit in (how if isinstance(how, str) else "".join(how))]
                sums = {k: int(np.minimum(every[k], 256 - every[k]).sum()) for k in order}
                ranked = sorted(order, key=lambda k: sums[k])
                rank = 0
                if told is not None:
                    rank = told.next(before)
                    assert rank < 5
                    before = rank
                kind = ranked[rank] if order else rank
            out.append(bytes([kind]) + every[kind].astype(np.uint8).tobytes())
    return b"".join(out)


def filters(row, above, step):
    left = np.concatenate([np.zeros(step, np.int64), row])[: len(row)]
    corner = np.concatenate([np.zeros(step, np.int64), above])[: len(row)]
    guess = left + above - corner
    a, b, c = abs(guess - left), abs(guess - above), abs(guess - corner)
    paeth = np.where((a <= b) & (a <= c), left, np.where(b <= c, above, corner))
    return [(row - one) % 256 for one in (0, left, above, (left + above) // 2, paeth)]


def gzip(recipe, blob, arrays, file_of):
    members = []
    for entry in recipe["members"]:
        header = section(blob)
        corrections = section(blob) if entry.get("corrected") else b""
        members.append((entry, header, corrections, section(blob) if entry.get("ending") else None))
    trailing = section(blob)
    sizes = blob.varints(len(members) - 1)
    content = file_of(recipe["inner"], blob.rest(), arrays)
    sizes.append(len(content) - sum(sizes))
    out = b""
    for (entry, header, corrections, ending), size in zip(members, sizes, strict=True):
        plain, content = content[:size], content[size:]
        usual = struct.pack("<II", zlib.crc32(plain), len(plain) % 2**32)
        out += header + deflated(plain, entry["deflate"], corrections) + (usual if ending is None else ending)
    return out + trailing


def npz(recipe, blob, arrays, file_of):
    out, left = b"", list(arrays)
    for entry in recipe["members"]:
        out += section(blob)
        corrections = section(blob) if entry.get("corrected") else b""
        inner = section(blob)
        if array := entry.get("array"):
            span, table = array["layout"].get("span", 0), array["layout"].get("table", 0)
            more = 0 if table or array["format"] != "words" else max(0, math.ceil((span - 16) / 8))
            inner = file_of(array, inner, left[: 1 + more])
            left = left[1 + more :]
        out += deflated(inner, entry["deflate"], corrections) if "deflate" in entry else inner
    assert not left
    return out + blob.rest()
