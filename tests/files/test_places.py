"""Formats that say where their samples are: GIF, DICOM, NIfTI, FITS, NRRD and MRC, made by hand from their rules."""

import gzip
import io
import struct
import zlib
from itertools import groupby
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bitsback.errors import ImageError
from bitsback.files import parse, values, write
from bitsback.files.places import Samples, Span, read_places, write_places
from bitsback.files.raster import Layout
from bitsback_decoder import places as second_decoder
from files.jpeg.test_lossless import file as lossless_jpeg

RNG = np.random.default_rng(0)
VOLUME = (np.add.outer(np.arange(3), np.add.outer(np.arange(20), np.arange(30))) * 7 - 90).astype(np.int16)


def gif(frames=3, mode="L"):
    image = Image.fromarray((np.add.outer(np.arange(40), np.arange(50)) % 9 * 20).astype(np.uint8)).convert(mode)
    file = io.BytesIO()
    image.save(file, "gif", save_all=True, append_images=[image.rotate(90 * k) for k in range(1, frames)])
    return file.getvalue()


def element(tag, kind, value, order="<", explicit=True):
    value = value + b"\0" * (len(value) % 2)
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return head + struct.pack(order + "I", len(value)) + value
    if kind in (b"OW", b"SQ", b"UN"):
        return head + kind + b"\0\0" + struct.pack(order + "I", len(value)) + value
    return head + kind + struct.pack(order + "H", len(value)) + value


def dicom(syntax=b"1.2.840.10008.1.2.1", pixels=None, signed=1, bits=16, channels=1, planes=0, stored=0, colours=b""):
    order = ">" if syntax.endswith(b".2.2") else "<"
    explicit = not syntax.endswith(b".1.2")
    pixels = VOLUME.astype(order + "i2").tobytes() if pixels is None else pixels
    numbers = {0x00280002: channels, 0x00280006: planes, 0x00280010: 20, 0x00280011: 30, 0x00280100: bits}
    sequence = b"\xfe\xff\x00\xe0" + struct.pack("<I", 0xFFFFFFFF) + element(0x00280010, b"US", b"\7\0", "<", explicit)
    sequence += b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    body = b""
    if order == "<":  # a sequence of undefined length, with a tag that is not the image's
        body = struct.pack("<HH", 8, 0x1140) + (b"SQ\0\0" if explicit else b"") + b"\xff\xff\xff\xff" + sequence
    for tag, value in numbers.items():
        body += element(tag, b"US", struct.pack(order + "H", value), order, explicit)
    body += element(0x00280101, b"US", struct.pack(order + "H", stored), order, explicit) if stored else b""
    body += element(0x00280004, b"CS", colours, order, explicit) if colours else b""
    body += element(0x00280008, b"IS", b"3 ", order, explicit)
    body += element(0x00280103, b"US", struct.pack(order + "H", signed), order, explicit)
    body += element(0x7FE00010, b"OW", pixels, order, explicit)
    return bytes(128) + b"DICM" + element(0x00020010, b"UI", syntax) + body + b"after"


def nifti(kind=4, order="<", data=None, version=1, sizes=(30, 20, 3)):
    data = VOLUME.astype(order + "i2").tobytes() if data is None else data
    sizes = [len(sizes), *sizes, *[1] * (7 - len(sizes))]
    head = bytearray(544 if version == 2 else 352)
    if version == 2:
        struct.pack_into(order + "i8sh", head, 0, 540, b"n+2\0\r\n\x1a\n", kind)
        struct.pack_into(order + "8q", head, 16, *sizes)
        struct.pack_into(order + "q", head, 168, 544)
    else:
        struct.pack_into(order + "i", head, 0, 348)
        struct.pack_into(order + "8hxx", head, 40, *sizes)
        struct.pack_into(order + "h", head, 70, kind)
        struct.pack_into(order + "f", head, 108, 352)
        head[344:348] = b"n+1\0"
    return bytes(head) + data


def fits(*units):
    out = b""
    for number, array in enumerate(units):
        bits = {"u": 8, "i": 8 * array.itemsize, "f": -8 * array.itemsize}[array.dtype.kind]
        cards = [b"XTENSION= 'IMAGE   '" if number else b"SIMPLE  =                    T"]
        cards += [b"BITPIX  = %20d" % bits, b"NAXIS   = %20d" % array.ndim]
        cards += [b"NAXIS%-3d= %20d / a comment" % (k + 1, size) for k, size in enumerate(reversed(array.shape))]
        head = b"".join(card.ljust(80) for card in [*cards, b"END"])
        body = array.astype(array.dtype.newbyteorder(">")).tobytes()
        out += head.ljust(-(-len(head) // 2880) * 2880) + body.ljust(-(-len(body) // 2880) * 2880, b"\0")
    return out


def nrrd(of_type="short", encoding="raw", more=""):
    head = f"NRRD0004\n# a comment\ntype: {of_type}\ndimension: 3\nsizes: 30 20 3\nendian: little\n{more}"
    return f"{head}encoding: {encoding}\n\n".encode() + VOLUME.astype("<i2").tobytes()


def mrc(mode=1, order="<"):
    head = bytearray(1024)
    struct.pack_into(order + "4i", head, 0, 30, 20, 3, mode)
    struct.pack_into(order + "i", head, 92, 80)
    head[208:216] = b"MAP " + (b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0")
    return bytes(head) + bytes(80) + VOLUME.astype(order + "i2").tobytes()


FILES = {
    "a.gif": gif(),
    "a.dcm": dicom(),
    "b.dcm": dicom(b"1.2.840.10008.1.2"),
    "c.dcm": dicom(b"1.2.840.10008.1.2.2"),
    "a.nii": nifti(),
    "b.nii": nifti(order=">"),
    "c.nii": nifti(version=2),
    "a.fits": fits(VOLUME),
    "a.nrrd": nrrd(),
    "a.mrc": mrc(),
    "b.mrc": mrc(order=">"),
}


@pytest.mark.parametrize("name", FILES)
def test_volumes_come_back_byte_for_byte_and_are_what_they_should(name, check_file):
    picture = check_file(FILES[name], name, exact=True)
    if not name.endswith("gif"):
        (part,) = picture.parts
        assert np.array_equal(part[..., 0].astype(int) - 32768, VOLUME)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
@pytest.mark.parametrize("frames", [1, 4])
def test_gif(mode, frames, check_file):
    picture = check_file(gif(frames, mode), "a.gif", exact=True)
    assert sum(len(part) for part in picture.parts) == frames


def test_gif_in_blocks_of_another_size(check_file):
    data = gif(1)
    start = data.index(b"\x2c", 13 + (3 << (data[10] & 7) + 1)) + 11
    coded, at = b"", start
    while data[at]:
        coded += data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    for size in (1, 100, 254):
        blocks = [coded[k : k + size] for k in range(0, len(coded), size)]
        again = data[:start] + b"".join(bytes([len(block)]) + block for block in blocks) + data[at:]
        check_file(again, "a.gif", exact=True)


def test_gif_of_encoders_that_kept_away_from_the_patent(check_file):
    """Only runs are coded, or nothing is; rows in four passes; a frame that nobody can read stays as it is."""
    image = np.repeat(RNG.integers(0, 200, 40), RNG.integers(1, 9, 40)).astype(np.uint8)[:160].reshape(16, 10)
    codes = [256]
    for symbol, run in ((symbol, len(list(same))) for symbol, same in groupby(image.ravel().tolist())):
        codes += [symbol, *[256, symbol] * (run - 1)] if symbol % 2 else [symbol] * run
    text = "".join(f"{code:09b}" for code in reversed([*codes, 257]))
    data = int(text, 2).to_bytes(-(-len(text) // 8), "little") + b"more"
    blocks = b"".join(bytes([len(some)]) + some for some in (data[k : k + 99] for k in range(0, len(data), 99)))
    frame = b"," + struct.pack("<4HB", 0, 0, 10, 16, 0x40) + b"\x08" + blocks + b"\0"
    broken = frame.replace(blocks[1:9], bytes(8))
    head = b"GIF89a" + struct.pack("<HHBBB", 10, 16, 0x80, 0, 0) + bytes(6)
    picture = check_file(head + frame + broken + frame + b";", "a.gif", exact=True)
    (part,) = picture.parts
    order = [0, 8, 4, 12, 2, 6, 10, 14, 1, 3, 5, 7, 9, 11, 13, 15]
    assert len(part) == 2 and np.array_equal(part[1, order, :, 0], image)
    arrays = picture.recipe["arrays"]
    assert second_decoder.file_of(arrays, picture.blob, picture.parts) == head + frame + broken + frame + b";"


def test_colours_and_planes(check_file):
    x = RNG.integers(0, 256, (3, 20, 30, 3)).astype(np.uint8)
    for planes, stored in ((0, x), (1, x.transpose(0, 3, 1, 2))):
        data = dicom(pixels=stored.tobytes(), signed=0, bits=8, channels=3, planes=planes)
        assert np.array_equal(check_file(data, "a.dcm", exact=True).parts[0], x)
    rgb = check_file(nifti(128, data=x.tobytes()), "a.nii", exact=True)
    assert np.array_equal(rgb.parts[0], x)


def fragments(*frames):
    """Encapsulated pixels: a table of offsets, which is empty, and a fragment for each frame."""
    frames = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    items = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(frame)) + frame for frame in [b"", *frames])
    return items + b"\xfe\xff\xdd\xe0\0\0\0\0"


def encapsulated(syntax, *frames, **more):
    """A DICOM file whose pixels have no defined length."""
    data = dicom(syntax, pixels=b"mark", **more)
    head, tail = data.split(struct.pack("<HH", 0x7FE0, 0x10) + b"OW\0\0\4\0\0\0mark")
    return head + struct.pack("<HH", 0x7FE0, 0x10) + b"OB\0\0\xff\xff\xff\xff" + fragments(*frames) + tail


def rle(image):
    """Planes of bytes, high ones first, each as an encoder for which a run begins with two has them."""
    image = image[..., None] if image.ndim == 2 else image
    channels = [image[..., c].astype(f">u{image.itemsize}").view(np.uint8) for c in range(image.shape[2])]
    planes = [channel[:, k :: image.itemsize] for channel in channels for k in range(image.itemsize)]
    segments = []
    for plane in planes:
        out = b""
        for row in plane:
            for start in range(0, len(row), 128):
                some = row[start : start + 128]
                same = bool((some == some[0]).all()) and len(some) > 1
                out += bytes([257 - len(some), some[0]]) if same else bytes([len(some) - 1]) + some.tobytes()
        segments.append(out + b"\0" * (len(out) % 2))
    starts = np.cumsum([64, *map(len, segments[:-1])]).tolist()
    return struct.pack("<16I", len(segments), *starts, *[0] * (15 - len(segments))) + b"".join(segments)


RLE, BASELINE, DEFLATED = b"1.2.840.10008.1.2.5", b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.1.99"
LOSSLESS, DEFLATED_FRAMES = b"1.2.840.10008.1.2.4.70", b"1.2.840.10008.1.2.8.1"
BIG = b"1.2.840.10008.1.2.2"


def jpegs():
    out = []
    for k in range(3):
        file = io.BytesIO()
        Image.fromarray((VOLUME[k] + 90).astype(np.uint8)).save(file, "jpeg")
        out.append(file.getvalue())
    return out


def test_rle_of_dicom(check_file):
    for dtype in ("u1", "u2", "u4"):
        x = (VOLUME.astype(np.int64) + 90).astype(dtype)
        data = encapsulated(RLE, *map(rle, x), bits=8 * x.itemsize, signed=0)
        picture = check_file(data, "a.dcm", exact=True)
        if dtype != "u4":
            assert np.array_equal(picture.parts[0][..., 0], x)
    colours = RNG.integers(0, 3, (3, 20, 30, 3)).astype(np.uint8)
    data = encapsulated(RLE, *map(rle, colours), bits=8, channels=3, signed=0)
    assert np.array_equal(check_file(data, "a.dcm", exact=True).parts[0], colours)


def test_jpeg_of_dicom_is_files_in_a_file(check_file):
    frames = jpegs()
    picture = check_file(encapsulated(BASELINE, *frames, bits=8), "a.dcm", exact=True)
    assert picture.coefficients == {0, 1, 2} and not picture.images
    alone = [parse(frame).parts[0] for frame in frames]
    assert all(map(np.array_equal, picture.parts, alone))


@pytest.mark.parametrize("table", ["basic", "extended", "", "wrong"])
def test_frames_in_several_fragments(table, check_file, kept):
    some = jpegs()[:3]
    pieces = [some[0][:300], some[0][300:], some[1], some[2][:2], some[2][2:500], some[2][500:]]
    pieces = [piece + b"\0" * (len(piece) % 2) for piece in pieces]
    starts = [0, len(pieces[0]) + len(pieces[1]) + 16, sum(map(len, pieces[:3])) + 24]
    starts[2] -= 8 * (table == "wrong")
    data = encapsulated(BASELINE, *pieces, bits=8)
    if table in ("basic", "wrong"):
        item = b"\xfe\xff\0\xe0"
        data = data.replace(item + bytes(4) + item, item + struct.pack("<4I", 12, *starts) + item, 1)
    elif table:
        long = struct.pack("<HH2sHI3Q", 0x7FE0, 1, b"OV", 0, 24, *starts)
        data = data.replace(b"\xe0\x7f\x10\0OW", long + b"\xe0\x7f\x10\0OW", 1)
    if table == "wrong":
        kept(data, "nothing tells apart", "a.dcm")
        return
    picture = check_file(data, "a.dcm", exact=True)
    (one,) = picture.recipe["arrays"]
    assert one["together"] == [[1, 2], [1, 1], [1, 3]] and len(picture.coefficients) == len(picture.parts)
    assert len(values(picture.recipe, picture.blob, picture.parts)) == 3


def test_a_frame_by_runs_in_fragments(check_file):
    whole = rle((VOLUME[0] + 90).astype(np.uint16))
    cut = len(whole) // 4 * 2
    data = encapsulated(RLE, whole[:cut], whole[cut:], signed=0).replace(b"IS\2\x003 ", b"IS\2\x001 ")
    picture = check_file(data, "a.dcm", exact=True)
    assert np.array_equal(picture.parts[0][0, ..., 0], VOLUME[0] + 90)
    assert second_decoder.file_of(picture.recipe["arrays"], picture.blob, picture.parts) == data


@pytest.mark.parametrize("start", [0, 132])
def test_dicom_without_its_preamble(start, check_file):
    first = element(0x00080005, b"CS", b"ISO_IR 100")
    data = dicom()[132:] if start else first + dicom()[132 + 8 + 20 :]
    assert check_file(data, "a.dcm", exact=True).recipe["format"] == "dicom"


def test_deflated_dicom_is_a_file_in_a_file(check_file):
    inner = dicom(b"1.2.840.10008.1.2.1")
    at = 132 + len(element(0x00020010, b"UI", b"1.2.840.10008.1.2.1"))
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = deflate.compress(inner[at:]) + deflate.flush()
    data = bytes(128) + b"DICM" + element(0x00020010, b"UI", DEFLATED) + body + b"\0" * (len(body) % 2)
    assert np.array_equal(check_file(data, "a.dcm", exact=True).parts[0][..., 0].astype(int) - 32768, VOLUME)


def lossless_frames(x):
    """A DICOM file of frames that are lossless JPEG."""
    frames = (lossless_jpeg(frame[..., None], 16) for frame in x)
    return encapsulated(LOSSLESS, *frames, signed=int(x.dtype.kind == "i"))


def test_lossless_jpeg_of_dicom(check_file):
    for x in (VOLUME, (VOLUME + 90).astype(np.uint16)):
        picture = check_file(lossless_frames(x), "a.dcm", exact=True)
        assert np.array_equal(values(picture.recipe, picture.blob, picture.parts)[0][..., 0], x)


def test_deflated_frames_of_dicom(check_file):
    def deflated(frame):
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        return deflate.compress(frame.tobytes()) + deflate.flush()

    data = encapsulated(DEFLATED_FRAMES, *map(deflated, VOLUME + 90), signed=0)
    assert np.array_equal(check_file(data, "a.dcm", exact=True).parts[0][..., 0], VOLUME + 90)


@pytest.mark.parametrize("columns", [30, 32])
def test_single_bits_of_dicom(columns, check_file):
    """Rows need not be whole bytes, nor need frames."""
    data, bits = single_bits(columns)
    assert np.array_equal(check_file(data, "a.dcm", exact=True).parts[0][..., 0], bits)


def single_bits(columns):
    bits = RNG.integers(0, 2, (3, 20, columns)).astype(np.uint8)
    data = dicom(pixels=np.packbits(bits, bitorder="little").tobytes(), bits=1, signed=0)
    tag = struct.pack("<HH", 0x28, 0x11) + b"US\2\0"
    return data.replace(tag + b"\x1e", tag + bytes([columns])), bits


def test_bytes_of_dicom_in_big_endian_words(check_file):
    """The last of an odd number of bytes has another in its word."""
    x = RNG.integers(0, 256, 1800).astype(np.uint8)
    words = x.reshape(-1, 2)[:, ::-1].tobytes()
    assert np.array_equal(check_file(dicom(BIG, words, 0, 8), "a.dcm", exact=True).parts[0].reshape(-1), x)
    single = dicom(BIG, x.tobytes(), 0, 8).replace(b"OW\0\0\0\0\7\x08", b"OB\0\0\0\0\7\x08")
    assert np.array_equal(check_file(single, "a.dcm", exact=True).parts[0].reshape(-1), x)
    odd = dicom(BIG, words, 0, 8).replace(b"IS\0\0023 ", b"IS\0\0021 ")
    odd = odd.replace(b"US\0\2\0\x14", b"US\0\2\0\x13").replace(b"US\0\2\0\x1e", b"US\0\2\0\x1d")
    assert np.array_equal(check_file(odd, "a.dcm", exact=True).parts[0].reshape(-1), x[: 19 * 29])


def test_wide_numbers_of_dicom(check_file):
    wide = (VOLUME.astype(np.int64) * 70_001).astype("<i4")
    assert "words" in check_file(dicom(pixels=wide.tobytes(), bits=32), "a.dcm", exact=True).recipe["arrays"][0]


def test_a_file_that_is_tiff_and_dicom(check_file):
    assert check_file(b"II*\0" + dicom()[4:], "a.dcm", exact=True).recipe["format"] == "dicom"


def test_other_numbers(check_file):
    floats = VOLUME.astype("<f4")
    for data, name in (
        (nifti(16, data=floats.tobytes()), "a.nii"),
        (mrc(1)[:12] + struct.pack("<i", 2) + mrc(1)[16:1104] + floats.tobytes(), "a.mrc"),
    ):
        assert check_file(data, name, exact=True).recipe["format"] == "words"
    bytes_ = RNG.integers(0, 256, (3, 20, 30)).astype(np.uint8)
    assert np.array_equal(check_file(nifti(2, data=bytes_.tobytes()), exact=True).parts[0][..., 0], bytes_)


def test_extensions_of_fits(check_file):
    x = RNG.integers(0, 256, (25, 31)).astype(np.uint8)
    picture = check_file(fits(VOLUME, x, VOLUME.astype("f4")[0]), "a.fits", exact=True)
    assert [part.shape for part in picture.parts] == [(3, 20, 30, 1), (1, 25, 31, 1), (1, 20, 30, 1)]
    assert "words" in check_file(fits(VOLUME.astype("f8")), "a.fits", exact=True).recipe["arrays"][0]


def test_within_gzip(check_file):
    for name in ("a.nii", "c.nii", "a.fits", "a.mrc", "a.nrrd"):
        assert check_file(gzip.compress(FILES[name], mtime=0), name + ".gz", exact=True).recipe["format"] == "gzip"


MORE = {"r.dcm": encapsulated(RLE, *(rle((VOLUME[k] + 90).astype(np.uint16)) for k in range(3)))}
MORE |= {"j.dcm": encapsulated(BASELINE, *jpegs()[:2], bits=8), "l.dcm": lossless_frames(VOLUME)}


@pytest.mark.parametrize("name", [*FILES, *MORE])
def test_damaged_files_come_back_as_they_are(name):
    rng = np.random.default_rng(1)
    good = (FILES | MORE)[name]
    for _ in range(60):
        data = bytearray(good)
        for _ in range(rng.integers(1, 5)):
            data[rng.integers(min(len(data), int(rng.choice([400, 5000]))))] = rng.integers(256)
        data = bytes(data[: int(rng.choice([len(data), rng.integers(4, len(data))]))])
        picture = parse(data, name)
        again = picture.raw if picture.raw is not None else write(picture.recipe, picture.blob, picture.parts)
        assert again == data


def test_what_is_kept(kept):
    kept(dicom(b"1.2.840.10008.1.2.4.90"), "transfer syntax 1.2.840.10008.1.2.4.90", "a.dcm")
    kept(dicom(b"1.2.840.10008.1.2.4.50"), "damaged DICOM fragments", "a.dcm")
    kept(dicom()[:140], "ends within a DICOM element", "a.dcm")
    kept(dicom(bits=32), "another size", "a.dcm")
    kept(dicom(bits=24), "24 bits", "a.dcm")
    kept(dicom(channels=9), "16 bits", "a.dcm")
    kept(dicom(pixels=b"few "), "another size", "a.dcm")
    kept(nifti(sizes=(30, 20, 9)), "ends before its numbers", "a.nii")
    kept(nifti(kind=1), "type 1", "a.nii")
    kept(nrrd("block"), "type block", "a.nrrd")
    kept(nrrd(more="data file: x.raw\n"), "elsewhere", "a.nrrd")
    kept(nrrd(more="byte skip: 4\n"), "skips", "a.nrrd")
    kept(mrc(4), "", "b.txt")
    kept(fits(np.zeros(9, np.uint8)), "no images", "a.fits")
    kept(b"GIF89a" + bytes(20), "without images", "a.gif")
    kept(gif()[:300], "ends within", "a.gif")


# The notion itself ----------------------------------------------------------------------------------------------------


PLACES = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=3)


@settings(max_examples=40)
@given(PLACES, st.integers(0, 1 << 30))
def test_any_places(sizes, seed):
    """Spans of several arrays, anywhere and in any order."""
    random = Random(seed)
    order = [(a, k) for a, some in enumerate(sizes) for k in range(len(some))]
    random.shuffle(order)
    file, spans = b"", {}
    for a, k in order:
        file += random.randbytes(random.randrange(5))
        spans[a, k] = Span(len(file), sizes[a][k])
        file += random.randbytes(sizes[a][k])
    file += random.randbytes(random.randrange(5))
    arrays = [
        Samples([spans[a, k] for k in range(len(some))], (1, 1, sum(some), 1), Layout(signed=bool(a)))
        for a, some in enumerate(sizes)
    ]
    content = read_places("tiff", file, arrays)
    assert write_places(content.recipe, content.blob, content.parts) == file


def test_places_that_cannot_be():
    file = bytes(100)
    row = (1, 1, 10, 1)
    for spans, reason in (
        ([Span(0, 5), Span(4, 5)], "share"),
        ([Span(95, 10)], "before its pixels do"),
        ([Span(-1, 10)], "share"),
        ([Span(0, 9)], "9 bytes of pixels where 10"),
        ([], "no pixels"),
    ):
        with pytest.raises(ImageError, match=reason):
            read_places("tiff", file, [Samples(spans, row)])


@pytest.mark.parametrize(
    "change", [{"at": [0]}, {"at": [-1, 10]}, {"at": [0, -10]}, {"at": [0, 9]}, {"at": [1 << 50, 10]}, {"codec": "zip"}]
)
def test_recipes_that_cannot_be_followed(change):
    content = read_places("tiff", bytes(100), [Samples([Span(0, 10)], (1, 1, 10, 1))])
    recipe = {"format": "tiff", "arrays": [content.recipe["arrays"][0] | change]}
    with pytest.raises((ValueError, KeyError)):
        write_places(recipe, content.blob, content.parts)
