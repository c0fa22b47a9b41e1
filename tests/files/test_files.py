import gzip
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bitsback.errors import FormatError, InexactEngineError
from bitsback.files import Picture, parse, write
from bitsback.kernels import KernelError


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def samples():
    """One small file of every kind."""
    rng = np.random.default_rng(0)
    grey = Image.fromarray(rng.integers(0, 256, (6, 7)).astype(np.uint8))
    colour = Image.fromarray(rng.integers(0, 256, (6, 7, 3)).astype(np.uint8))
    array, archive = io.BytesIO(), io.BytesIO()
    np.save(array, np.asfortranarray(rng.integers(0, 256, (2, 5, 4)).astype(">u2")))
    np.savez_compressed(archive, a=np.asarray(colour), b=np.arange(3))
    return {
        "a.png": saved(colour, "png", dpi=(72, 72)),
        "p.png": saved(grey.convert("P"), "png", transparency=3),
        "a.pgm": saved(grey, "ppm"),
        "plain.pgm": b"P2 3 2 300\n1 2 3\n40 50 300\n",
        "a.bmp": saved(colour, "bmp"),
        "a.tif": saved(colour, "tiff", icc_profile=b"profile"),
        "a.npy": array.getvalue(),
        "a.npz": archive.getvalue(),
        "a-idx3-ubyte": b"\0\0\x08\x03\0\0\0\2\0\0\0\3\0\0\0\4" + bytes(range(24)),
        "a-idx3-ubyte.gz": gzip.compress(b"\0\0\x08\x03\0\0\0\2\0\0\0\3\0\0\0\4" + bytes(range(24))),
    }


SAMPLES = samples()


@pytest.mark.parametrize("name", SAMPLES)
def test_every_kind(name, check_file):
    check_file(SAMPLES[name], name)


def check_any(data, name):
    """Whatever the bytes are: kept, or taken apart without loss."""
    picture = parse(data, name)
    assert "\n" not in picture.note
    if picture.raw is not None:
        assert picture.raw == data and picture == Picture(raw=data, note=picture.note)
        return
    again = write(json.loads(json.dumps(picture.recipe)), picture.blob, picture.parts)
    if picture.exact:
        assert again == data
    second = parse(again, name)
    assert (second.recipe, second.blob) == (picture.recipe, picture.blob)
    assert all(map(np.array_equal, second.parts, picture.parts))


@pytest.mark.parametrize("name", SAMPLES)
def test_truncations(name):
    """At every byte of the beginning, where headers are, and at some of the rest."""
    data = SAMPLES[name]
    for size in [*range(min(len(data), 150)), *range(150, len(data), 4)]:
        check_any(data[:size], name)


@pytest.mark.parametrize("name", SAMPLES)
def test_damaged_bytes(name):
    """Each of the beginning, and some of the rest."""
    data = SAMPLES[name]
    for at in [*range(min(len(data), 150)), *range(150, len(data), 4)]:
        change = (0x01, 0x80, 0xFF)[at % 3]
        check_any(data[:at] + bytes([data[at] ^ change]) + data[at + 1 :], name)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_rewritten_stretches(name, draw):
    data = bytearray(SAMPLES[name])
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at : at + draw.draw(st.integers(0, 8))] = draw.draw(st.binary(max_size=12))
    check_any(bytes(data), name)


def test_what_is_no_image_is_kept(kept):
    webp = saved(Image.new("RGB", (4, 4)), "webp")
    for name, data in {"a.webp": webp, "a.txt": b"text", "empty": b"", "b.txt": b"BM is how a bitmap begins"}.items():
        kept(data, "", name)
    kept(b"", "not a png file", "empty.png")
    kept(webp, "not a png file", "really.png")
    kept(SAMPLES["a.png"][:-1], "the PNG ends")


def test_a_module_that_loses_something_is_caught(monkeypatch, kept):
    from bitsback.files import png

    good, right = SAMPLES["a.png"], png.write
    monkeypatch.setattr(png, "write", lambda recipe, blob, parts: right(recipe, blob, [parts[0] ^ 1]))
    kept(good, "would not come back unchanged", "a.png")

    def crash(data, pixels):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(png, "read", crash)
    kept(good, "damaged (RuntimeError: two lines)", "a.png")


NO_FAULTS = [
    MemoryError(),
    OSError(28, "No space left on device"),
    ImportError("half a kernel"),
    KernelError("no kernel at all"),
    InexactEngineError("another machine's numbers"),
]


@pytest.mark.parametrize("error", NO_FAULTS)
def test_what_is_not_the_files_fault_is_not_blamed_on_it(monkeypatch, error):
    from bitsback.files import png

    good = parse(SAMPLES["a.png"])

    def fail(*_):
        raise error

    monkeypatch.setattr(png, "write", fail)
    with pytest.raises(type(error)):
        parse(SAMPLES["a.png"], "a.png")
    with pytest.raises(type(error)):
        write(good.recipe, good.blob, good.parts)


@pytest.mark.parametrize("order", ["II", "MM"])
def test_a_bigtiff_is_known_for_what_it_is(order, kept):
    number = {"II": "little", "MM": "big"}[order]
    head = order.encode() + (43).to_bytes(2, number) + (8).to_bytes(2, number) + bytes(2)
    kept(head + (16).to_bytes(8, number) + bytes(64), "a TIFF without size", "scan.tif")


def test_everything_that_is_imported_later_can_be_imported_before():
    script = (
        "import sys; from bitsback.files import prepare\n"
        "prepare(['png', 'npz', 'words', 'unknown'])\n"
        "wanted = ('png', 'filters', 'npz', 'words')\n"
        "print([name for name in wanted if 'bitsback.files.' + name not in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("recipe", "blob", "shape"),
    [
        ({}, b"", (1, 2, 2, 1)),
        ({"format": "exe"}, b"", (1, 2, 2, 1)),
        ({"format": ["png"]}, b"", (1, 2, 2, 1)),
        ({"format": "png", "depth": 8, "colour": 2}, b"", (1, 2, 2, 1)),
        ({"format": "png", "depth": 7, "colour": 0}, b"", (1, 2, 2, 1)),
        ({"format": "png", "depth": 16, "colour": 0}, b"", (1, 2, 2, 1)),
        ({"format": "png", "depth": 1, "colour": 0}, b"", (1, 2, 2, 1)),
        ({"format": "png", "depth": 8, "colour": 0, "chunks": "tEXt IDAT"}, b"\x04abc", (1, 2, 2, 1)),
        ({"format": "png", "depth": 8, "colour": 0}, b"", (2, 2, 2, 1)),
        ({"format": "npy", "head": -1, "layout": {}}, b"abc", (1, 2, 2, 1)),
        ({"format": "npy", "head": 1, "layout": {"bits": 9}}, b"abc", (1, 2, 2, 1)),
        ({"format": "npy", "head": 1, "layout": {"unknown": 9}}, b"abc", (1, 2, 2, 1)),
        ({"format": "npy", "head": 1, "layout": {}}, b"abc", (0, 2, 2, 1)),
        ({"format": "npy", "head": 1, "layout": {}}, b"abc", (2, 2, 1)),
        ({"format": "gzip", "header": 1, "inner": {"format": "npy", "head": 0, "layout": {}}}, b"abc", (1, 2, 2, 1)),
        ({"format": "gzip", "header": 10, "inner": {"format": "gzip"}}, bytes(99), (1, 2, 2, 1)),
    ],
)
def test_recipes_that_cannot_be_followed(recipe, blob, shape):
    with pytest.raises(FormatError, match="cannot be followed"):
        write(recipe, blob, [np.full(shape, 7, np.uint8)])
