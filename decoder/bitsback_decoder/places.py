"""Samples at places, by docs/format.md alone: LZW and PackBits in plain Python."""

import zlib
from functools import partial
from itertools import groupby, pairwise

from bitsback_decoder import archive, deflate
from bitsback_decoder.tables import BLACK, LONG, WHITE


def file_of(recipes, blob, arrays, headers=0, padded=1, filled=0):
    source, arrays = archive.Bytes(blob), list(arrays)
    pieces, told = [], []
    for recipe in recipes:
        spans, at = [], 0
        for gap, size in zip(recipe["at"][::2], recipe["at"][1::2], strict=True):
            spans.append((at + gap, size))
            at += gap + size
            at += -size % recipe.get("align", 1)
        told += spans if "codec" in recipe and "files" not in recipe else []
        if "together" not in recipe:
            pieces += pieces_of(recipe, spans, source, arrays)
            continue
        counts = [each for count, each in recipe["together"] for _ in range(count)]
        ends = [sum(counts[: k + 1]) for k in range(len(counts))]
        sizes = [sum(size for _, size in spans[end - each : end]) for end, each in zip(ends, counts, strict=True)]
        starts = [sum(sizes[:k]) for k in range(len(sizes))]
        whole = b"".join(piece for _, piece in pieces_of(recipe, list(zip(starts, sizes, strict=True)), source, arrays))
        assert ends[-1] == len(spans)
        for start, size in spans:
            pieces.append((start, whole[:size]))
            whole = whole[size:]
    assert not arrays
    out = b""
    for start, piece in sorted(pieces):
        out += source.take(start - len(out)) + piece + bytes(-len(piece) % padded)
    out += source.take(source.left)
    if filled:
        out = with_tags(out, told)
    return with_headers(out, headers, {start: len(piece) for start, piece in pieces})


def pieces_of(recipe, spans, source, arrays):
    """Of an array, or of files: where each begins, and its bytes."""
    if "files" in recipe:
        return list(files(recipe, spans, source, arrays))
    if "words" in recipe:
        return list(words(recipe, spans, source, arrays))
    images = arrays.pop(0)
    ends = b""
    if recipe.get("beside") == 1:
        layout = recipe["layout"]
        row = images.shape[2] * images.shape[3] * layout.get("bits", 8)
        size = len(archive.raster(images[:1, :1], layout)) - row // 8
        ends = source.take(images.shape[0] * images.shape[1] * size)
    whole, left = archive.with_ends(images, recipe, ends)
    assert not left
    if "codec" in recipe:
        return list(coded(recipe, whole, spans, source))
    stops = [sum(size for _, size in spans[: k + 1]) for k in range(len(spans))]
    assert stops[-1] == len(whole)
    return [(start, whole[stop - size : stop]) for (start, size), stop in zip(spans, stops, strict=True)]


def with_tags(out, spans):
    """Of a TIFF file."""
    data, end = bytearray(out), "little" if out[:2] == b"II" else "big"
    long = 8 if int.from_bytes(out[2:4], end) == 43 else 4
    sizes = {1: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8}

    def number(at, size):
        return int.from_bytes(out[at : at + size], end)

    waiting, seen = [number(long, long)], set()
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        head = 8 if long == 8 else 2
        fields, each = {}, 4 + 2 * long
        stop = page + head + number(page, head) * each
        for at in range(page + head, stop, each):
            tag, kind, count = number(at, 2), number(at + 2, 2), number(at + 4, long)
            if kind in sizes:
                where = at + 4 + long
                where = number(where, long) if count * sizes[kind] > long else where
                fields[tag] = [(where + k * sizes[kind], sizes[kind]) for k in range(count)]
        following = number(stop, long)
        below = [number(*field) for field in fields.get(330, [])]
        waiting += [following] * (following > 0) + [one for one in reversed(below) if one]
        names = (324, 325) if 324 in fields else (273, 279)
        some = [fields.get(name, []) for name in names]
        if all(some) and not any(number(*field) for several in some for field in several):
            own, spans = spans[: len(some[0])], spans[len(some[0]) :]
            for several, values in zip(some, zip(*own, strict=True), strict=True):
                for (at, size), value in zip(several, values, strict=True):
                    data[at : at + size] = value.to_bytes(size, end)
    assert not spans
    return bytes(data)


def with_headers(out, headers, sizes):
    """Of a tar file."""
    data, at = bytearray(out), 0
    for _ in range(headers):
        head = data[at : at + 512]
        if head[148:156] == bytes(8):
            if head[124:136] == bytes(12) and at + 512 in sizes:
                head[124:136] = f"{sizes[at + 512]:011o}\0".encode()
            head[148:156] = f"{sum(head) + 256:06o}\0 ".encode()
            data[at : at + 512] = head
        field = bytes(head[124:136])
        size = int.from_bytes(field) - (1 << 95) if field[0] & 128 else int(field.strip(b" \0") or b"0", 8)
        at += 512 + (0 if head[156] in b"123456" else -(-size // 512) * 512)
    return bytes(data)


def files(recipe, spans, source, arrays):
    hows = [how for count, how in recipe.get("coded", []) for _ in range(count)]
    for number, (start, size) in enumerate(spans):
        some = [arrays.pop(0) for _ in range(recipe.get("parts", 1))]
        about = [source.take(source.varint()) for _ in range(3 if "codec" in recipe else 1)]
        data = archive.file_of(recipe["files"], about[-1], some) if recipe["files"] else about[-1]
        if "codec" in recipe:
            data = CODECS[recipe["codec"]](data, hows[number], about[0]) + about[1]
        front = recipe.get("front", 0)
        data = data[:2] + data[2 + front :]
        assert len(data) == size
        yield start, data


def words(recipe, spans, source, arrays):
    some = [arrays.pop(0) for _ in range(recipe.get("parts", 1))]
    layout = recipe["words"]
    whole = archive.words({"head": 0, "layout": layout}, source.take(source.varint()), some)
    if "planes" in recipe:
        (row, step), each = recipe["planes"], layout["bits"] // 8
        rows = [whole[at : at + row] for at in range(0, len(whole), row)]
        rows = [b"".join(line[k::each] for k in range(each)) for line in rows]
        lines = [
            bytes((byte - (line[at - step] if at >= step else 0)) % 256 for at, byte in enumerate(line))
            for line in rows
        ]
        whole = b"".join(lines)
    if "differences" in recipe:
        (row, step), each, end = recipe["differences"], layout["bits"] // 8, "big" if layout.get("big") else "little"
        number = [int.from_bytes(whole[at : at + each], end) for at in range(0, len(whole), each)]
        first = [at % (row // each) < step for at in range(len(number))]
        number = [n if first[at] else (n - number[at - step]) % 256**each for at, n in enumerate(number)]
        whole = b"".join(n.to_bytes(each, end) for n in number)
    if "codec" in recipe:
        return list(coded(recipe, whole, spans, source))
    ends = [sum(size for _, size in spans[:number]) for number in range(len(spans))]
    return [(start, whole[at : at + size]) for (start, size), at in zip(spans, ends, strict=True)]


def coded(recipe, whole, spans, source):
    page, step = recipe["page"], recipe["step"]
    plain = [whole[at : at + page][k : k + step] for at in range(0, len(whole), page) for k in range(0, page, step)]
    hows = [how for count, how in recipe["coded"] for _ in range(count)]
    for (start, size), piece, how in zip(spans, plain, hows, strict=True):
        choices, following = source.take(source.varint()), source.take(source.varint())
        kind, *words = recipe["codec"].split(" ")
        code = CODECS.get(kind)
        if words:
            code = partial(SIZED.get(kind, partial(fax, kind)), int(words[0]), words[1:])
        data = code(piece, how, choices) + following
        assert len(data) == size
        yield start, data


def deflated(piece, how, choices):
    ending = zlib.adler32(piece).to_bytes(4, "big") if how[2] else b""
    return bytes(how[:2]) + deflate.deflated(piece, how[3:], choices) + ending


def lzw(piece, how, choices):
    codes = "".join(f"{code:0{width}b}" for code, width in lzw_codes(piece, how, choices, 8, 1))
    codes += "0" * (-len(codes) % 8)
    return int(codes, 2).to_bytes(len(codes) // 8, "big")


def oldlzw(piece, how, choices):
    codes = "".join(f"{code:0{width}b}" for code, width in reversed(lzw_codes(piece, how, choices, 8, 0)))
    return int(codes, 2).to_bytes(-(-len(codes) // 8), "little")


def gif(piece, how, choices):
    bits, block, *how = how
    source = archive.Bytes(choices)
    surplus = source.take(source.varint()) if not block else b""
    sizes = source.varints(source.varint()) if not block else []
    size = source.varint()
    codes = "".join(f"{code:0{width}b}" for code, width in reversed(lzw_codes(piece, how, source.rest(), bits, 0)))
    data = int(codes, 2).to_bytes(-(-len(codes) // 8), "little")
    assert len(data) == size
    data += surplus
    sizes = sizes or [min(block, size - at) for at in range(0, size, block)]
    assert sum(sizes) == len(data)
    out = bytes([bits])
    for size in sizes:
        out, data = out + bytes([size]) + data[:size], data[size:]
    return out + bytes(1)


def lzw_codes(piece, how, choices, bits, early):
    """Codes with their widths."""
    source = archive.Bytes(choices)
    *usual, rule = how if len(how) % 2 else [*how, 0]
    runs = [0, *[usual[1]] * usual[0], source.varint()] if usual else source.varints(source.varint())
    gaps = source.varints(source.varint()) if len(how) % 2 else []
    told = {sum(gaps[: k + 1]): source.varint() for k in range(len(gaps))}
    codes, at, number = [], 0, 0
    for last, run in enumerate(runs, 1 - len(runs)):
        strings = {byte: bytes([byte]) for byte in range(1 << bits)}
        table = {string: code for code, string in strings.items()}
        width, known, new, before = bits + 1, (1 << bits) + 2, (1 << bits) + 2, None
        for k in range(run):
            code = piece[at]
            if rule % 4 == 0:
                stop = at + 1
                while stop < len(piece) and piece[at : stop + 1] in table:
                    stop += 1
                code = table[piece[at:stop]]
            elif rule % 4 == 1 and before == piece[at] and new > (1 << bits) + 2:
                long = len(strings[new - 1])
                same = next((n for n in range(1, long) if piece[at + n : at + n + 1] != piece[at : at + 1]), long)
                if same > 1 and new - 1 - (long - same) >= (1 << bits) + 2:
                    code = new - 1 - (long - same)
            code = told.get(number, code)
            codes.append((code, width))
            number, before, at = number + 1, piece[at], at + len(strings[code])
            if at < len(piece) and new < 4096:
                strings[new] = strings[code] + piece[at : at + 1]
                table[strings[new]] = new
                new += 1
            known = min(known + (k > 0), 4096)
            width += known + early >= 2**width and width < 12
        if last < 0 or rule < 4:
            codes.append(((1 << bits) + (last == 0), width))
    assert at == len(piece)
    return codes


def packbits(piece, how, choices):
    out, at = b"", 0
    for head in heads(piece, *how) if how else choices:
        taken = 1 + head if head < 128 else int(head > 128)
        out += bytes([head]) + piece[at : at + taken]
        at += taken if head < 128 else (257 - head) * taken
    assert at == len(piece)
    return out


def heads(piece, row, rule):
    """Rows as lists of runs and others: (bytes, whether they are a run)."""
    found = []
    for start in range(0, len(piece), row):
        line, at, out = piece[start : start + row], 0, []
        while at < len(line):
            same = 1
            while same < 128 and at + same < len(line) and line[at + same] == line[at]:
                same += 1
            alone = out and not out[-1][1]
            if (
                rule == 2
                and same == 1
                and len(out) > 1
                and out[-1] == [2, True]
                and not out[-2][1]
                and out[-2][0] < 127
            ):
                out[-2:] = [[out[-2][0] + 2, False]]
                alone = True
            if same == 1 or (rule == 1 and same == 2 and alone and out[-1][0] < 127):
                if alone and out[-1][0] < 128:
                    out[-1][0] += same
                else:
                    out.append([same, False])
            else:
                out.append([same, True])
            at += same
        found += [257 - size if run else size - 1 for size, run in out]
    return bytes(found)


def rle(piece, how, choices, each=1):
    source, size = archive.Bytes(choices), len(piece) // len(how)
    planes = []
    for at in range(0, len(piece), size * each):
        planes += [piece[at : at + size * each][each - 1 - k :: each] for k in range(each)]
    out, starts = b"", []
    for plane, rule in zip(planes, how, strict=True):
        starts.append(64 + len(out))
        chosen, following = (source.take(source.varint()) for _ in range(2))
        out += packbits(plane, rule, chosen) + following
    head = [len(planes), *starts] + [0] * (15 - len(planes))
    return b"".join(number.to_bytes(4, "little") for number in head) + out


def fax(kind, width, words, piece, how, choices):
    stride, out, above = -(-width // 8), "", []
    eol = "000000000001"
    for number, at in enumerate(range(0, len(piece), stride)):
        bits = "".join(f"{byte:08b}" for byte in piece[at : at + stride])[:width]
        changes = [x for x in range(width) if bits[x] != ("0" + bits)[x]]
        two = kind == "g4" or ("above" in words and choices[number >> 3] >> (7 - number % 8) & 1)
        if kind == "mh":
            out += "0" * (-len(out) % 8)
        if kind == "g3":
            out += "0" * ((-len(out) - 12) % 8 if how[0] else 0) + eol + str(1 - int(two)) * ("above" in words)
        out += line(changes, above, width) if two else runs([0, *changes, width], 0)
        above = changes
    out += (eol + "1" * ("above" in words)) * how[1]
    out += "0" * (-len(out) % 8)
    data = int(out, 2).to_bytes(len(out) // 8, "big")
    return bytes(int(f"{byte:08b}"[::-1], 2) for byte in data) if "reverse" in words else data


def runs(edges, colour):
    out = ""
    for start, stop in pairwise(edges):
        codes, size = ((WHITE, BLACK)[colour] + LONG).split(), stop - start
        while size >= 2624:
            out, size = out + codes[103], size - 2560
        out += (codes[63 + size // 64] if size >= 64 else "") + codes[size % 64]
        colour = 1 - colour
    return out


def line(changes, above, width):
    out, at, colour = "", -1, 0
    while at < width:
        a1, a2 = ([x for x in changes if x > at] + [width] * 2)[:2]
        b1, b2 = ([x for k, x in enumerate(above) if x > at and k % 2 == colour] + [width])[0], width
        b2 = min([x for x in above if x > b1] + [width])
        if b2 < a1:
            out, at = out + "0001", b2
        elif abs(a1 - b1) <= 3:
            names = {0: "1", 1: "011", 2: "000011", 3: "0000011", -1: "010", -2: "000010", -3: "0000010"}
            out, at, colour = out + names[a1 - b1], a1, 1 - colour
        else:
            out, at = out + "001" + runs([max(at, 0), a1, a2], colour), a2
    return out


CODECS = {"deflate": deflate.deflated, "zlib": deflated, "lzw": lzw, "oldlzw": oldlzw, "gif": gif, "packbits": packbits}


def tga(unit, _, piece, how, choices):
    pixels = [piece[at : at + unit] for at in range(0, len(piece), unit)]
    led = heads(pixels, how[0] // unit, how[1]) if how else choices
    out, at = b"", 0
    for head in led:
        count = 1 + head if head < 128 else 257 - head
        out += bytes([head if head < 128 else 384 - head]) + b"".join(pixels[at : at + (count if head < 128 else 1)])
        at += count
    assert at == len(pixels)
    return out


def pcx(row, _, piece, how, choices):
    out = b""
    cuts = [cut for at in range(0, len(piece), row) for cut in (at, at + row - how)] + [len(piece)]
    for at, stop in pairwise(cuts):
        for byte, same in groupby(piece[at:stop]):
            size = len(list(same))
            for run in [63] * (size // 63) + [size % 63] * (size % 63 > 0):
                out += (bytes([192 + run]) if run > 1 or byte >= 192 else b"") + bytes([byte])
    return out


def qoi(channels, _, piece, how, choices):
    seen, last, out, run = {}, (0, 0, 0, 255), b"", 0
    for at in range(0, len(piece), channels):
        now = (*piece[at : at + channels], 255)[:4]
        if now == last:
            run += 1
        if run and (now != last or run == 62 or at + channels == len(piece)):
            out, run = out + bytes([191 + run]), 0
        if now != last:
            place = (3 * now[0] + 5 * now[1] + 7 * now[2] + 11 * now[3]) % 64
            r, g, b = ((x - y + 128) % 256 - 128 for x, y in zip(now[:3], last[:3], strict=True))
            if seen.get(place, (0, 0, 0, 0)) == now:
                out += bytes([place])
            elif now[3] != last[3]:
                out += bytes([255, *now])
            elif all(-2 <= x <= 1 for x in (r, g, b)):
                out += bytes([64 + 16 * (r + 2) + 4 * (g + 2) + b + 2])
            elif -32 <= g <= 31 and -8 <= r - g <= 7 and -8 <= b - g <= 7:
                out += bytes([160 + g, 16 * (r - g + 8) + b - g + 8])
            else:
                out += bytes([254, *now[:3]])
            seen[place] = last = now
    return out


def lossless_jpeg(size, _, piece, how, choices):
    """Annex H of T.81: what goes before the data says all but the samples."""
    at, tables, interval = 2, {}, 0
    while at < len(choices):
        marker, length = choices[at + 1], int.from_bytes(choices[at + 2 : at + 4])
        body, at = choices[at + 4 : at + 2 + length], at + 2 + length
        if marker == 0xC4:
            while body:
                tables[body[0]] = huffman(body[1:17], body[17:])
                body = body[17 + sum(body[1:17]) :]
        elif marker == 0xC3:
            precision, width, count = body[0], int.from_bytes(body[3:5]), body[5]
        elif marker == 0xDD:
            interval = int.from_bytes(body)
        elif marker == 0xDA:
            codes, kind = [tables[number >> 4] for number in body[2 : 2 + 2 * count : 2]], body[1 + 2 * count]
    samples = [int.from_bytes(piece[k : k + size], "little") for k in range(0, len(piece), size)]
    row, out = width * count, [""]
    for number, sample in enumerate(samples):
        if interval and number and number % (interval * count) == 0:
            out.append("")
        y, x = divmod(number, row)
        top = y % (interval // width) == 0 if interval else y == 0
        left = samples[number - count] if x >= count else None
        above = None if top else samples[number - row]
        corner = None if top or left is None else samples[number - row - count]
        if above is None:
            guess = left if left is not None else 1 << (precision - 1)
        elif left is None:
            guess = above
        else:
            by_left, by_above = left + (above - corner) // 2, above + (left - corner) // 2
            guesses = left, above, corner, left + above - corner, by_left, by_above, (left + above) // 2
            guess = guesses[kind - 1]
        difference = (sample - guess + 32767) % 65536 - 32767
        bits = abs(difference).bit_length()
        out[-1] += codes[number % count][bits]
        if 0 < bits < 16:
            out[-1] += f"{difference if difference > 0 else difference - 1 + (1 << bits):0{bits}b}"
    data = b""
    for number, bits in enumerate(out):
        bits = bits[: len(bits) // 8 * 8] if how == 2 else bits + str(how) * (-len(bits) % 8)
        data += bytes([255, 0xD0 + (number - 1) % 8]) * (number > 0)
        data += bytes(int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")
    return choices + data


def huffman(counts, symbols):
    """Codes by symbol; of two with one symbol, the first."""
    found, code, symbols = {}, 0, list(symbols)
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            found.setdefault(symbols.pop(0), f"{code:0{length}b}")
            code += 1
        code *= 2
    return found


def tight(width, _, piece, how, choices):
    stride = -(-width // 8)
    bits = ""
    for at in range(0, len(piece), stride):
        bits += "".join(f"{byte:08b}"[::-1] for byte in piece[at : at + stride])[:width]
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))


def bmp(bits, width, _, piece, how, choices):
    """Runs of Windows bitmaps: heads, and what they say of pixels."""
    stride = -(-width // 4) * 4
    rows = [piece[at : at + stride] for at in range(0, len(piece), stride)]
    led = list(b"".join(bmp_heads(row, 8 // bits) for row in rows) + b"\0\1" if how[0] else choices)
    out, x, y = b"", 0, 0
    while led:
        head = led.pop(0)
        out += bytes([head])
        if head:
            pixels = (rows[y] + bytes(1))[x : x + max(2, head)]
            second = pixels[1] if head > 1 else (0, pixels[0], pixels[1])[how[1]]
            out += pixels[:1] if bits == 8 else bytes([16 * pixels[0] + second])
            x += head
            continue
        code = led.pop(0)
        out += bytes([code])
        if code == 0:
            x, y = 0, y + 1
        elif code == 2:
            out += bytes(led[:2])
            x, y, led = x + led[0], y + led[1], led[2:]
        elif code > 2:
            pixels, size = rows[y][x : x + code] + bytes(4), -(-code * bits // 16) * 2
            if bits == 4:
                pixels = bytes(16 * a + b for a, b in zip(pixels[::2], pixels[1::2], strict=False))
            out += pixels[:size]
            x += code
    return out


def bmp_heads(row, apart):
    """The longest runs, and that the row ends."""
    out, at = b"", 0
    while at < len(row):
        size = min(apart, len(row) - at)
        while at + size < len(row) and size < 255 and row[at + size] == row[at + size - apart]:
            size += 1
        out, at = out + bytes([size]), at + size
    return out + bytes(2)


def three(piece, how, choices):
    return b"".join(piece[at : at + 3][::-1] for at in range(0, len(piece), 4))


def pairs(piece, how, choices):
    piece += choices
    return b"".join(piece[at : at + 2][::-1] for at in range(0, len(piece), 2))


SIZED = {"tga": tga, "pcx": pcx, "qoi": qoi, "ljpeg": lossless_jpeg, "bits": tight}
SIZED |= {"bmp4": partial(bmp, 4), "bmp8": partial(bmp, 8)}
CODECS["three"] = three
CODECS |= {"rle": rle, "rle16": partial(rle, each=2), "rle32": partial(rle, each=4), "pairs": pairs}
