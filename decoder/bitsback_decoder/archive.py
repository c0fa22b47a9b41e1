"""Archives, by docs/format.md alone.

It checks what the text says that a reader has to, lists and extracts every member, and finds what is left of a damaged
file. What does not hold is an AssertionError, or another error of Python's.
"""

import hashlib
import io
import json
import lzma
import struct
import zipfile
import zlib
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import xxhash

from bitsback_decoder import adaptive, jpeg
from bitsback_decoder import files as image_files
from bitsback_decoder.model import SlowModel
from bitsback_decoder.tables import DICTIONARY

DATA, DIRECTORY, MODEL, INDEX, PARITY = 1, 2, 3, 4, 5
FILE, FOLDER, SYMLINK, HARDLINK = range(4)


def check(data):
    return xxhash.xxh3_64_intdigest(data)


class Bytes:
    """Bytes that are read from the beginning on."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        assert 0 <= size <= len(self.data) - self.at
        self.at += size
        return self.data[self.at - size : self.at]

    def unpack(self, layout):
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    @property
    def left(self):
        return len(self.data) - self.at

    def rest(self):
        return self.take(self.left)

    def varint(self):
        value = 0
        for shift in range(0, 70, 7):
            (byte,) = self.take(1)
            value |= (byte & 127) << shift
            if byte < 128:
                assert value < 2**64 and (byte or not shift)
                return value
        raise AssertionError

    def varints(self, count=None):
        out = []
        while self.left if count is None else len(out) < count:
            out.append(self.varint())
        return out


def column(data, rows, default=0):
    if data is None:
        return [default] * rows
    values = Bytes(data).varints()
    assert rows and len(values) in (1, rows)
    return values * rows if len(values) == 1 else values


def steps(data, rows):
    out, last = [], 0
    for value in column(data, rows):
        last += -(value + 1) // 2 if value % 2 else value // 2
        last = (last + 2**63) % 2**64 - 2**63
        out.append(last)
    return out


def ascending(values):
    out, last = [], -1
    for value in values:
        last += value + 1
        out.append(last)
    return out


def strings(data):
    assert not data or data.endswith(b"\0")
    return data[:-1].split(b"\0") if data else []


def fields(data, known):
    source, out = Bytes(data), {}
    while source.left:
        (tag,) = source.take(1)
        assert tag > max(out, default=0)
        out[tag] = source.take(source.varint())
        assert tag in known or tag >= 128
    return out


def unpack(how, data, size, dictionary=b""):
    assert how in (0, 1, 2, 3)
    if how == 2:
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 23}])
        data = unpacker.decompress(data, size + 1)
        assert unpacker.eof and not unpacker.unused_data
    elif how:
        inflate = zlib.decompressobj(-15, zdict=dictionary) if how == 3 else zlib.decompressobj(-15)
        data = inflate.decompress(data, size + 1)
        assert inflate.eof and not inflate.unused_data
    assert len(data) == size
    return data


# Chunks.


class Chunk(NamedTuple):
    kind: int
    flags: int
    run: int
    number: int
    place: int
    head: bytes
    payload: bytes
    payload_check: int
    offset: int
    size: int

    @property
    def sound(self):
        return len(self.payload) == self.size and check(self.payload) == self.payload_check

    @property
    def payload_offset(self):
        return self.offset + 56 + len(self.head)

    @property
    def end(self):
        return self.payload_offset + self.size


def chunk_at(data, offset):
    """The chunk whose frame and head are whole there, or None."""
    frame = data[offset : offset + 56]
    if len(frame) < 56 or frame[:4] != bytes.fromhex("b5424bf2"):
        return None
    kind, flags, zero, run, number, head_size, place, size, payload_check, frame_check = struct.unpack(
        "<BBHQIIQQQQ", frame[4:]
    )
    head = data[offset + 56 : offset + 56 + head_size]
    if len(head) < head_size or head_size > 1 << 22 or check(frame[:48] + head) != frame_check:
        return None
    assert zero == 0 and flags < 4
    begin = offset + 56 + head_size
    return Chunk(kind, flags, run, number, place, head, data[begin : begin + size], payload_check, offset, size)


def header_of(data):
    """System and run."""
    header = data[:32]
    assert header[:10].hex() == "8f4242410d0a1a0a0200" and check(header[:24]) == int.from_bytes(header[24:], "little")
    required, _optional, system, zero, run = struct.unpack("<HHBBQ", header[10:24])
    assert required in (0, 1) and system in (0, 1) and zero == 0
    return system, run


def footer_at(data, end):
    """Offset of the index, and run; None if no footer ends there."""
    footer = data[max(end - 32, 0) : end]
    if len(footer) < 32 or footer[24:].hex() != "8f424241656e640a":
        return None
    index, run, its_check = struct.unpack("<QQQ", footer[:24])
    return (index, run) if its_check == check(footer[:16]) else None


class Index(NamedTuple):
    required: int
    previous: int
    first: int
    sizes: list
    removed: list
    runs: list


def index_of(chunk):
    source = Bytes(chunk.payload)
    required, previous, first = source.varints(3)
    sizes = source.varints(source.varint())
    removed = ascending(source.varints(source.varint()))
    assert required in (0, 1) and source.left % 8 == 0 and source.left <= 32 * 8
    runs = [source.unpack("Q")[0] for _ in range(source.left // 8)]
    return Index(required, previous, first, sizes, removed, runs)


def last_footer(data):
    """Where the last sound footer ends; the rest does not count."""
    for end in range(len(data), 63, -1):
        footer = footer_at(data, end)
        if footer:
            chunk = chunk_at(data, footer[0])
            if chunk and (chunk.kind, chunk.run, chunk.place, chunk.end) == (INDEX, footer[1], footer[0], end - 32):
                assert chunk.sound
                return end
    raise AssertionError("cut off")


def chunks_of(data):
    """System, chunks without indexes, and members that do not count."""
    system, first_run = header_of(data)
    end = last_footer(data)
    found, removed, known = [], set(), None
    while True:
        offset, run = footer_at(data, end)
        chunk = chunk_at(data, offset)
        assert chunk.kind == INDEX and chunk.sound and (chunk.flags, chunk.head) == (0, b"")
        assert (chunk.run, chunk.place, chunk.end) == (run, offset, end - 32)
        index = index_of(chunk)
        assert chunk.number == index.first + len(index.sizes)
        if known is not None:
            assert known[-1] == run and known == [*index.runs, run][-32:]
        known = index.runs
        removed |= set(index.removed)
        begin = 32
        if index.previous:
            before = chunk_at(data, index.previous)
            begin = before.end + 32
            assert index.previous < offset and footer_at(data, begin) == (index.previous, index.runs[-1])
        mine = []
        at = begin
        for number, size in enumerate(index.sizes, index.first):
            one = chunk_at(data, at)
            assert (one.number, one.run, one.place, one.end - at) == (number, run, at, size)
            assert one.kind in (DATA, DIRECTORY, MODEL, PARITY) or (one.flags & 1 and one.kind != INDEX)
            assert not one.flags & 2 or one.kind in (DIRECTORY, MODEL)
            mine.append(one)
            at = one.end
        assert at == offset
        found = mine + found
        if not index.previous:
            assert run == first_run and index.first == 0 and index.runs == []
            return system, found, removed
        assert before.number == index.first - 1
        end = begin


# Directories and data.


class Member(NamedTuple):
    number: int
    name: bytes
    type: int
    mtime_ns: int | None
    mode: int | None
    content: int | None
    target: bytes


class Content(NamedTuple):
    size: int
    recipe: dict | None
    text: bytes
    counts: list
    blob: int
    pixels_only: bool
    sha256: bytes
    shares: list


def directory_of(chunk, dictionary):
    source = Bytes(chunk.head)
    (how,) = source.take(1)
    first_member, first_content, members, contents, size = source.varints(5)
    assert source.left == 0
    known = fields(unpack(how, chunk.payload, size, dictionary), {*range(1, 8), *range(16, 26)})
    return (
        first_member,
        members_of(known, first_member, first_content, members),
        first_content,
        contents_of(known, first_content, contents),
    )


def members_of(known, first_member, first_content, count):
    names = strings(known.get(2))
    assert len(names) == count
    types = column(known.get(1), count)
    seconds, rests = steps(known.get(3), count), column(known.get(4), count)
    modes = column(known.get(5), count)
    numbers = iter(column(known.get(6), sum(kind in (FILE, HARDLINK) for kind in types)))
    targets = iter(strings(known.get(7)))
    out = []
    for row in range(count):
        assert types[row] < 4 and rests[row] <= 10**9 and modes[row] <= 0o10000
        content = None
        if types[row] in (FILE, HARDLINK):
            content = next(numbers) - 1
            if content < 0:
                content, first_content = first_content, first_content + 1
        out.append(
            Member(
                first_member + row,
                names[row],
                types[row],
                seconds[row] * 10**9 + rests[row] - 1 if rests[row] else None,
                modes[row] - 1 if modes[row] else None,
                content,
                next(targets) if types[row] in (SYMLINK, HARDLINK) else b"",
            )
        )
    assert next(targets, None) is None
    return out


def contents_of(known, first, count):
    sizes, flags = column(known.get(16), count), column(known.get(17), count)
    recipes = strings(known.get(18))
    numbers = column(known.get(19), count, 1 if recipes else 0)
    arrays = column(known[20], count) if 20 in known else [min(number, 1) for number in numbers]
    counts = iter(column(known.get(21), sum(arrays), 1))
    blobs = iter(column(known.get(22), sum(number > 0 for number in numbers)))
    hashes = Bytes(known.get(23, b""))
    back = column(known.get(24), sum(arrays))
    which = iter(column(known.get(25), sum(k > 0 for k in back), 1))
    back = iter(back)
    out = []
    for row in range(count):
        assert flags[row] < 4
        text = recipes[numbers[row] - 1] if numbers[row] else b""
        mine = [next(counts) for _ in range(arrays[row])]
        assert 0 not in mine and (text or not (mine or flags[row] & 1))
        blob = next(blobs) if text else sizes[row]
        sha256 = hashes.take(32) if flags[row] & 2 else b""
        recipe = json.loads(text) if text else None
        shares = [(first + row - k + 1, next(which)) if k else None for k in (next(back) for _ in mine)]
        out.append(Content(sizes[row], recipe, text, mine, blob, bool(flags[row] & 1), sha256, shares))
    assert hashes.left == 0
    return out


class Data(NamedTuple):
    digest: bytes
    pieces: list
    """(content, part, start, images or bytes)."""
    void: list


def pieces_of(data):
    if data is None:
        return []
    source = Bytes(data)
    rows = source.varint()
    columns = [source.take(source.varint()) for _ in range(4)]
    assert source.left == 0 and rows
    contents = steps(columns[0], rows)
    return list(zip(contents, *(column(each, rows) for each in columns[1:]), strict=True))


def data_of(chunk, dictionary, models):
    """A data chunk, decoded; only blocks of models that are there."""
    head = Bytes(chunk.head)
    digest = head.take(head.take(1)[0])
    (how,) = head.take(1)
    if how:
        size = head.varint()
        body = unpack(how, head.rest(), size, dictionary)
    else:
        body = head.rest()
    known = fields(body, set(range(1, 8)))
    payload, out = Bytes(chunk.payload), []
    taken = b""
    if 4 in known:
        source = Bytes(known[4])
        (packing,) = source.take(1)
        size, packed = source.varints(2)
        taken = unpack(packing, payload.take(packed), size, dictionary)
        assert source.unpack("Q") == (check(taken),) and source.left == 0
    at = 0
    for content, part, start, length in pieces_of(known.get(5)):
        assert part == 0 and length
        out.append((content, 0, start, taken[at : at + length]))
        at += length
    assert at == len(taken)
    names = [known.get(1, b"")[i : i + 32] for i in range(0, len(known.get(1, b"")), 32)]
    fronts, source = [], Bytes(known.get(7, b""))
    while source.left:
        fronts.append(front_of(source))
    blocks, source = [], Bytes(known.get(2, b""))
    while source.left:
        blocks.append(block_of(source, payload, names, fronts, models))
    images = [image for block in blocks for image in block]
    at = 0
    for content, part, start, length in pieces_of(known.get(3)):
        assert part and length
        assert len({image.shape for image in images[at : at + length]}) == 1
        out.append((content, part, start, images[at : at + length]))
        at += length
    assert at == len(images) and payload.left == 0
    return Data(digest, out, ascending(Bytes(known.get(6, b"")).varints()))


MATRICES = (
    (16, 9539, 13075, -3209, -6660, 16525),
    (16, 9539, 14686, -1747, -4366, 17305),
    (0, 8192, 11485, -2819, -5850, 14516),
)
"""Of video: black, and factors of luma, red, green (two) and blue."""


def front_of(source):
    """A list of (what a step is, what belongs to it)."""
    count = source.varint()
    assert 1 <= count <= 8
    return [step_of(source) for _ in range(count)]


def step_of(source):
    (what,) = source.take(1)
    assert what in (1, 2, 3, 4, 5, 6)
    if what == 2:
        return what, None
    if what == 4:
        (how,) = source.take(1)
        assert how in (1, 2, 65, 129, 130)
        return what, (how >> 6, how & 3)
    if what in (3, 5):
        down, across = source.varints(2)
        assert 1 <= down <= 255 and 1 <= across <= 255
        return what, (down, across)
    if what == 6:
        (matrix,) = source.take(1)
        assert matrix < 4
        return what, matrix
    tables = [ascending(source.varints(source.varint())) for _ in range(source.varint())]
    assert all(tables)
    return what, tables


def followed(step, channels, sample_bytes):
    """Channels and bytes of a sample that follow a step."""
    what, tables = step
    if what == 2:
        assert channels >= 3
        return channels, sample_bytes
    if what == 3:
        return 1, sample_bytes
    if what == 4:
        return 1, tables[1]
    if what == 5:
        return channels, sample_bytes
    if what == 6:
        assert channels >= 3 and sample_bytes == 1
        return channels, 1
    assert len(tables) in (1, channels) and max(map(max, tables)) < 256**sample_bytes
    return channels, 1 if max(map(len, tables)) <= 256 else 2


def undone(step, image, sample_bytes):
    """An image before a step."""
    what, tables = step
    if what == 2:
        modulus = 256**sample_bytes
        image = np.asarray(image).astype(np.int64)
        image[..., [0, 2]] = (image[..., [0, 2]] + image[..., 1:2] - modulus // 2) % modulus
        return image
    if what == 5:
        return np.asarray(image).repeat(tables[0], axis=0).repeat(tables[1], axis=1)
    if what == 6:
        y, u, v, *others = np.moveaxis(np.asarray(image).astype(np.int64), 2, 0)
        if tables == 0:
            u, v = u - 128, v - 128
            added = 91881 * v, -22554 * u - 46802 * v, 116130 * u
            found = [y + (one + 32768 >> 16) for one in added]
        else:
            black, luma, red, green, too, blue = MATRICES[tables - 1]
            y, u, v = 8 * (y - black) * luma >> 16, 8 * (u - 128), 8 * (v - 128)
            found = [y + (v * red >> 16), y + (u * green >> 16) + (v * too >> 16), y + (u * blue >> 16)]
        return np.stack([*(one.clip(0, 255) for one in found), *others], axis=2)
    out = np.empty(image.shape, np.int64)
    for channel in range(image.shape[2]):
        table = np.array(tables[channel if len(tables) > 1 else 0])
        assert image[..., channel].max() < len(table)
        out[..., channel] = table[image[..., channel]]
    return out


def block_of(source, payload, names, fronts, models):
    """The images of a block."""
    kind, sample_bytes = source.take(2)
    which, front, channels, size, count = source.varints(5)
    lots = [source.varints(3) for _ in range(count)]
    (its_check,) = source.unpack("Q")
    assert sample_bytes in (1, 2) and channels and lots and all(map(all, lots))
    steps = list(fronts[front - 1]) if front else []
    coded = [(channels, sample_bytes)]
    for step in steps:
        coded.append(followed(step, *coded[-1]))
        if step[0] == 5:
            down, across = step[1]
            assert not any(height % down or width % across for height, width, _ in lots)
            lots = [(height // down, width // across, n) for height, width, n in lots]
    model = models[names[which - 1]] if which else None
    assert not any(what in (3, 4) for what, _ in steps[:-1])
    if steps and steps[-1][0] == 4:
        (_, (own, _)), source = steps.pop(), Bytes(payload.take(size))
        images = coloured(kind, source, lots, own, *coded[-2:], model)
    elif steps and steps[-1][0] == 3:
        _, apart = steps.pop()
        source, planes = Bytes(payload.take(size)), []
        for channel in range(coded[-2][0]):
            down, across = apart if channel in (1, 2) else (1, 1)
            some = [(-(-height // down), -(-width // across), n) for height, width, n in lots]
            found = lots_of(kind, source.take(source.varint()), some, *coded[-1], model)
            sizes = [(height, width) for height, width, n in lots for _ in range(n)]
            planes.append([repeated(one, down, across, *size) for one, size in zip(found, sizes, strict=True)])
        assert source.left == 0
        images = [np.concatenate(several, axis=2) for several in zip(*planes, strict=True)]
    else:
        images = lots_of(kind, payload.take(size), lots, *coded[-1], model)
    for step, (_, before) in zip(reversed(steps), reversed(coded[: len(steps)]), strict=True):
        images = [undone(step, image, before) for image in images]
    images = [np.asarray(image).astype(f"<u{sample_bytes}") for image in images]
    assert check(b"".join(image.tobytes() for image in images)) == its_check
    return images


def repeated(image, down, across, height, width):
    """An image whose rows and columns stand for several."""
    return np.asarray(image).repeat(down, axis=0).repeat(across, axis=1)[:height, :width]


def coloured(kind, source, lots, own, before, after, model):
    """Images of colours, from their tables and the images of places."""
    pixels = [height * width for height, width, n in lots for _ in range(n)]
    own, rare = own >> 1, own & 1
    counts = source.varints(len(pixels) if own else 1)
    most = pixels if own else [sum(pixels)]
    assert all(
        1 <= count <= min(top, 65536 if rare else 256 ** after[1]) for count, top in zip(counts, most, strict=True)
    )
    row = adaptive.decoded(source.take(source.varint()), 1, 1, sum(counts), *before)[0][0]
    tables = [np.array(row[end - count : end], np.int64) for count, end in zip(counts, np.cumsum(counts), strict=True)]
    listed = []
    if rare and (count := source.varint()):
        listed = adaptive.decoded(source.take(source.varint()), 1, 1, count, 1, 2)[0][0]
        listed = [int(np.asarray(one).reshape(-1)[0]) for one in listed]
    elif rare:
        assert source.take(source.varint()) == b"\0"
    places = lots_of(kind, source.take(source.left), lots, *after, model)
    if rare:
        places = [np.array(image).astype(int) for image in places]
        assert sum(int((image == 255).sum()) for image in places) == len(listed)
        for image in places:
            for where in zip(*np.nonzero(image == 255), strict=True):
                image[where] = listed.pop(0)
    tables = tables if own else tables * len(places)
    return [table[np.asarray(image)[..., 0]] for table, image in zip(tables, places, strict=True)]


def lots_of(kind, data, lots, channels, sample_bytes, model):
    """The coded images of all lots, one by one."""
    if kind == 6:
        return filtered(data, lots, channels, sample_bytes)
    if kind == 5:
        assert [lot[:2] for lot in lots] == [[8, 8]] and (channels, sample_bytes) == (1, 2)
        return list(jpeg.decoded(data, lots[0][2], model))
    if len(lots) == 1:
        height, width, n = lots[0]
        return list(decoded(kind, data, (n, height, width, channels), sample_bytes, model))
    if kind == 1:
        return adaptive.decoded_lots(data, [(n, height, width) for height, width, n in lots], channels, sample_bytes)
    source, numbers, out = Bytes(data), defaultdict(list), {}
    at = 0
    for height, width, n in lots:
        numbers[height, width] += range(at, at + n)
        at += n
    for (height, width), mine in numbers.items():
        images = decoded(kind, source.take(source.varint()), (len(mine), height, width, channels), sample_bytes, model)
        out |= zip(mine, images, strict=True)
    assert source.left == 0
    return [out[number] for number in range(at)]


def filtered(data, lots, channels, sample_bytes):
    """The images of a filtered payload."""
    how, order = data[0] & 7, data[0] >> 3
    assert how < 5 and order < 2
    sizes = [height * width * channels * sample_bytes for height, width, _ in lots]
    total = sum(n * size for (_, _, n), size in zip(lots, sizes, strict=True))
    dictionary = {"id": lzma.FILTER_LZMA2, "dict_size": min(max(total, 4096), 1 << 24)}
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[dictionary])
    source = Bytes(unpacker.decompress(data[1:], total + 1))
    assert unpacker.eof and not unpacker.unused_data and source.left == total
    out = []
    for (height, width, n), size in zip(lots, sizes, strict=True):
        before = np.zeros((height, width, channels), np.int64)
        for _ in range(n):
            differences = np.frombuffer(source.take(size), np.uint8 if order else f"<u{sample_bytes}").astype(np.int64)
            if order:
                planes = differences.reshape(channels, sample_bytes, height, width)
                values = planes[:, 0] if sample_bytes == 1 else planes[:, 0] * 256 + planes[:, 1]
                differences = np.moveaxis(values, 0, 2)
            before = unfiltered(differences.reshape(height, width, channels), before, how, 256**sample_bytes)
            out.append(before)
    return out


def unfiltered(differences, before, how, modulus):
    """An image, given the one before."""
    if how == 4:
        return (differences + before) % modulus
    height, width, channels = differences.shape
    padded = np.zeros((height + 1, width + 1, channels), np.int64)
    for y in range(1, height + 1):
        for x in range(1, width + 1):
            a, b, c = padded[y, x - 1], padded[y - 1, x], padded[y - 1, x - 1]
            choices = np.stack([a, b, c])
            nearest = np.abs(choices - (a + b - c)).argmin(axis=0)
            says = (0 * a, a, b, np.take_along_axis(choices, nearest[None], 0)[0])[how]
            padded[y, x] = (differences[y - 1, x - 1] + says) % modulus
    return padded[1:, 1:]


def decoded(kind, data, shape, sample_bytes, model):
    """The images of a payload."""
    if kind == 0:
        return np.frombuffer(data, f"<u{sample_bytes}").reshape(shape)
    if kind == 1:
        return adaptive.decoded(data, *shape, sample_bytes)
    assert sample_bytes == 1 and model.config["kind"] == {2: "context", 3: "vae", 4: "phases"}[kind]
    if kind == 3:
        images, *stacks = model.decode(data, shape[0])
    else:
        images, stacks = (model.decode_pieces if kind == 2 else model.decode_phases)(data, *shape[:3])
    assert all(stack.is_new for stack in stacks)
    return np.array(images).reshape(shape)


# From a content to its file.


def digest_of(content, blob, arrays, file):
    if not content.pixels_only:
        return hashlib.sha256(file).digest()
    out = hashlib.sha256(content.text + b"\0" + struct.pack("<Q", len(blob)) + blob)
    for array in arrays:
        out.update(struct.pack("<4QB", *array.shape, array.itemsize) + array.astype(f"<u{array.itemsize}").tobytes())
    return out.digest()


def raster(images, layout):
    bits = layout.get("bits", 8)
    if layout.get("signed"):
        images = images ^ images.dtype.type(1 << bits - 1)
    if layout.get("differences"):
        images = np.concatenate([images[:, :, :1], images[:, :, 1:] - images[:, :, :-1]], axis=2)
        images = images & images.dtype.type((1 << bits) - 1)
    if layout.get("swap"):
        images = images[..., [2, 1, 0, *range(3, images.shape[3])]]
    if layout.get("passes"):
        images = np.concatenate([images[:, first::step] for first, step in ((0, 8), (4, 8), (2, 4), (1, 2))], axis=1)
    if layout.get("flip"):
        images = images[:, ::-1]
    images = images.transpose(["nhwc".index(axis) for axis in layout.get("axes", "nhwc")])
    if bits == 16:
        data = images.astype(">u2" if layout.get("big") else "<u2")
    elif bits == 8:
        data = images.astype("u1")
    else:
        rows = images.reshape(*images.shape[:2], -1).astype("u2")
        spread = (rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1
        data = np.packbits(spread.reshape(*rows.shape[:2], -1).astype("u1"), axis=-1)
    if layout.get("reverse"):
        data = np.packbits(np.unpackbits(data.view("u1"), axis=-1, bitorder="little"), axis=-1)
    if layout.get("align", 1) > 1:
        rows = data.reshape(images.shape[0], images.shape[1], -1).view("u1")
        data = np.pad(rows, ((0, 0), (0, 0), (0, -rows.shape[2] % layout["align"])))
    return data.tobytes()


def with_ends(images, recipe, blob):
    """A raster with what stands at the end of its rows, and the blob without that."""
    how, layout = recipe.get("beside", 0), recipe.get("layout", {})
    whole = raster(images, layout)
    if not how:
        return whole, blob
    rows = images.shape[0] * images.shape[1]
    size = len(whole) // rows
    used = images.shape[2] * images.shape[3] * layout.get("bits", 8)
    if how == 2:
        order = "little" if layout.get("reverse") else "big"
        ones = np.packbits(np.arange(8 * size) >= used, bitorder=order)
        return (np.frombuffer(whole, "u1").reshape(rows, size) | ones).tobytes(), blob
    assert how == 1
    kept = used // 8
    ends = blob[len(blob) - rows * (size - kept) :]
    lines = [whole[at * size : at * size + kept] + ends[at * (size - kept) :][: size - kept] for at in range(rows)]
    return b"".join(lines), blob[: len(blob) - len(ends)]


def words(recipe, blob, arrays):
    layout = recipe["layout"]
    bits, table, span = layout["bits"], layout.get("table", 0), layout.get("span", 0)
    size = max(table, 1) * bits // 8
    extra = [
        int.from_bytes(blob[at : at + bits // 8], "little") for at in range(len(blob) - size, len(blob), bits // 8)
    ]
    flat = [
        array.transpose(["nhwc".index(axis) for axis in layout.get("axes", "nhwc")]).ravel() for array in arrays[:1]
    ]
    values = [int(value) for value in flat[0]]
    if table:
        values = [extra[value] for value in values]
    else:
        low = max(0, span - 16)
        for place, array in enumerate(arrays[1:]):
            some = array.reshape(arrays[0].shape).transpose(["nhwc".index(axis) for axis in layout.get("axes", "nhwc")])
            left = low - 8 * place
            values = [
                (value << 8 | int(byte)) if left >= 8 else value << left | int(byte) >> (8 - left)
                for value, byte in zip(values, some.ravel(), strict=True)
            ]
        values = [(extra[0] + value) % 2**bits for value in values]
    half = 2 ** (bits - 1)
    turned = {
        "u": lambda v: v,
        "i": lambda v: v ^ half,
        "f": lambda v: v ^ half if v >= half else v ^ (2**bits - 1),
    }[layout["kind"]]
    order = "big" if layout.get("big") else "little"
    middle = b"".join(turned(value).to_bytes(bits // 8, order) for value in values)
    return blob[: recipe["head"]] + middle + blob[recipe["head"] : len(blob) - size]


def file_of(recipe, blob, arrays):
    """The file that a recipe makes, if it makes the same everywhere."""
    if "gaps" in recipe:
        (images,) = arrays
        source = Bytes(blob)
        head = source.take(recipe["head"])
        gaps = [source.take(source.varint()) for _ in range(recipe["gaps"])]
        places = source.take(images.size)
        return head + b"".join(gaps[k] + b"%d" % v for k, v in zip(places, images.ravel(), strict=True)) + source.rest()
    if "head" in recipe and recipe["format"] != "words":
        (images,) = arrays
        middle, blob = with_ends(images, recipe, blob)
        return blob[: recipe["head"]] + middle + blob[recipe["head"] :]
    if recipe["format"] == "jpeg":
        (blocks,) = arrays
        return jpeg.file_of(recipe, blob, blocks)
    if "arrays" in recipe:
        from bitsback_decoder import places

        more = (recipe.get(key, default) for key, default in (("headers", 0), ("padded", 1), ("filled", 0)))
        return places.file_of(recipe["arrays"], blob, arrays, *more)
    if recipe["format"] == "words":
        return words(recipe, blob, arrays)
    if "images" in recipe:
        return image_files.png(recipe, Bytes(blob), arrays)
    if "members" in recipe:
        return (image_files.gzip if recipe["format"] == "gzip" else image_files.npz)(
            recipe, Bytes(blob), arrays, file_of
        )
    if recipe["format"] == "pnm":
        (images,) = arrays
        rows = images.reshape(images.shape[0] * images.shape[1], -1)
        return blob + b"".join(b" ".join(b"%d" % value for value in row) + b"\n" for row in rows)
    assert recipe["format"] == "npz"
    out, left = io.BytesIO(), list(arrays)
    with zipfile.ZipFile(out, "w") as archive:
        archive.comment = bytes.fromhex(recipe["comment"])
        for entry in recipe["entries"]:
            inner, blob = blob[: entry["blob"]], blob[entry["blob"] :]
            if entry["array"]:
                inner = file_of(entry["array"], inner, [left.pop(0)])
            info = zipfile.ZipInfo(entry["name"], tuple(entry["time"]))
            info.compress_type, info.create_system, info.create_version, info.extract_version = entry["fields"][:4]
            info.internal_attr, info.external_attr = entry["fields"][4:]
            info.extra, info.comment = bytes.fromhex(entry["extra"]), bytes.fromhex(entry["comment"])
            info.file_size = len(inner)
            with archive.open(info, "w", force_zip64=entry["zip64"]) as member:
                member.write(inner)
    assert not left and not blob
    return out.getvalue()


# The archive.


class Found(NamedTuple):
    """A member with its content: the file, or None where its bytes depend on an encoder; and its blob and arrays."""

    member: Member
    type: int
    target: bytes
    file: bytes | None
    content: Content | None
    blob: bytes
    arrays: list


def read(data, dictionary=DICTIONARY, models=()):
    """The system, and all members that count, by name. ``models``: files of models that are not in the archive."""
    system, chunks, removed = chunks_of(data)
    assert all(chunk.sound for chunk in chunks)
    known = {model.identity: model for model in map(SlowModel, models)}
    members, contents, starts, pieces, ends = [], [], {}, defaultdict(list), {}
    digests, void = [], set()
    for number, chunk in enumerate(chunks):
        if chunk.kind == MODEL:
            model = SlowModel(chunk.payload)
            assert model.identity == chunk.head
            known[model.identity] = model
        elif chunk.kind == DIRECTORY:
            first, rows, first_content, described = directory_of(chunk, dictionary)
            if first in starts:
                assert (chunk.head, chunk.payload) == starts[first]
                continue
            starts[first] = chunk.head, chunk.payload
            assert (first, first_content) == (len(members), len(contents))
            members += rows
            contents += described
        elif chunk.kind == DATA:
            one = data_of(chunk, dictionary, known)
            for content, part, start, some in one.pieces:
                pieces[content, part].append((start, some))
                ends[content] = number
            digests.append((number, one.digest))
            void |= set(one.void)
            assert all(ends[content] == number for content in one.void)
    assert all(content < len(contents) for content, _ in pieces)
    counting = [one for one in members if one.number not in removed and one.content not in void]
    assert len({one.name for one in counting}) == len(counting)
    files = unfolded(contents, {one.content for one in counting} - {None} | void, pieces)
    for number, digest in digests:
        mine = sorted(content for content, end in ends.items() if end == number)
        if all(content in files for content in mine):
            each = [digest_of(contents[content], *files[content]) for content in mine]
            assert digest == (hashlib.sha256(b"".join(each)).digest() if mine else b"")
    return system, named(counting, contents, files)


def unfolded(contents, wanted, pieces):
    """Blob, arrays and file of each content."""
    files = {}
    for number in wanted:
        content = contents[number]
        blob, arrays = joined(pieces[number, 0], b""), []
        for part, count in enumerate(content.counts, 1):
            other = content.shares[part - 1]
            if other:
                assert other < (number, part) and not contents[other[0]].shares[other[1] - 1]
                assert not pieces[number, part]
            arrays.append(np.stack(joined(pieces[other or (number, part)], [])))
            assert len(arrays[-1]) == count
        assert len(blob) == content.blob
        file = None
        if content.recipe is None:
            file = blob
        elif not content.pixels_only:
            file = file_of(content.recipe, blob, arrays)
        assert file is None or len(file) == content.size
        assert content.sha256 in (b"", hashlib.sha256(file or b"").digest())
        files[number] = blob, arrays, file
    return files


def joined(pieces, out):
    for start, some in pieces:
        assert start == len(out)
        out = out + some if isinstance(out, bytes) else [*out, *some]
    return out


def named(counting, contents, files):
    """Members by name, with links to what does not count any more made files."""
    real = {one.name: one.content for one in counting if one.type == FILE}
    instead, out = {}, {}
    for one in counting:
        kind, target = one.type, one.target
        if kind == HARDLINK and real.get(target) != one.content:
            first = instead.setdefault((target, one.content), one.name)
            kind, target = (FILE, b"") if first == one.name else (HARDLINK, first)
        if one.content is None:
            out[one.name] = Found(one, kind, target, None, None, b"", [])
        else:
            blob, arrays, file = files[one.content]
            out[one.name] = Found(one, kind, target, file, contents[one.content], blob, arrays)
    return out


# Damaged archives.


def candidates_of(data):
    at = data.find(bytes.fromhex("b5424bf2"))
    while at >= 0:
        chunk = chunk_at(data, at)
        if chunk:
            yield chunk
        behind = at + 1 if chunk is None else chunk.end if chunk.sound else chunk.payload_offset
        at = data.find(bytes.fromhex("b5424bf2"), behind)


def recover(data):
    """Chunks of a damaged archive, by number: those that belong to it, and to no other."""
    try:
        first = {header_of(data)[1]}
    except (AssertionError, struct.error):
        first = set()
    found = list(candidates_of(data))
    first |= {chunk.run for chunk in found if chunk.offset == chunk.place}
    before = {chunk.run: set(index_of(chunk).runs) for chunk in found if chunk.kind == INDEX and chunk.sound}

    def family(runs):
        while more := set().union(*(before.get(run, set()) for run in runs)) - runs:
            runs = runs | more
        return runs

    nearest, moved = 88 if first else 0, []
    for chunk in found:
        if chunk.offset == chunk.place:
            nearest = chunk.payload_offset
        elif chunk.offset - chunk.place < nearest and (not first or (chunk.kind == INDEX and chunk.sound)):
            moved.append(chunk.run)
    own = next((first | {run} for run in reversed(moved) if not first or first & family({run})), first)
    own = family(own)
    taken = {}
    for chunk in found:
        if chunk.run in own:
            rank = chunk.sound, chunk.offset == chunk.place
            if chunk.number not in taken or rank > taken[chunk.number][0]:
                taken[chunk.number] = rank, chunk
    return [chunk for _, (_, chunk) in sorted(taken.items()) if chunk.kind != INDEX]
