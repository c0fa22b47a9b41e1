"""No index of a kernel leaves its array, whatever is coded, and whatever a payload holds.

In a process of its own, whose kernels check their indices (:mod:`kernels.bounds`).
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

CHECKED = """
import sys
import numpy as np
from kernels import bounds
bounds.check()
from bitsback.errors import BitsBackError
"""

OUTSIDE = """
from bitsback.kernels import kernel
@kernel
def at(x, i):
    return x[i]
x = np.arange(9)[3:6]
assert [int(at(x, i)) for i in range(3)] == [3, 4, 5]
print("within", flush=True)
at(x, int(sys.argv[1]))
"""

VECTORS = """
from bitsback.kernels import kernel, vectorised
from bitsback.kernels.vectors import INT, INTS
@vectorised
def add(v, shorts, i, x, j):
    x.store(j, x.load(j, INTS) + (shorts + i).load(i * 0, INT))
@kernel
def all(shorts, i, x, j):
    add(shorts[2:], i, x, j)
shorts, x = np.arange(9, dtype=np.int16)[1:7], np.arange(40, dtype=np.int32)[10:20]
for i in range(3):
    all(shorts, i, x, i)
print("within", flush=True)
all(shorts, int(sys.argv[1]), x, int(sys.argv[2]))
"""

NOISE = """
from bitsback.kernels import kernel
@kernel
def made(x):
    made, zeros = np.empty(4, np.int64), np.zeros(4, np.int64)
    for i in range(4):
        x[0, i], x[1, i] = made[i], zeros[i]
x = np.zeros((2, 4), np.int64)
made(x)
print((x != 0).sum(axis=1).tolist())
"""

ADAPTIVE = """
from bitsback.kinds.adaptive import payload
from bitsback.kinds.base import Lot
rng = np.random.default_rng(0)
def images(kind, shape):
    n, y, x, c = np.indices(shape)
    few = (x // 3 + y // 2 + c) % 3 + (rng.random(shape) < 0.1)
    many = rng.integers(0, np.iinfo(kind).max + 1, shape) >> rng.integers(12)
    return (few if rng.random() < 0.5 else many).astype(kind)
for number in range(200):
    kind = (np.uint8, np.uint16)[number % 2]
    shape = tuple(int(rng.integers(1, most)) for most in (4, 12, 40, 5))
    whole = payload.encode(images(kind, shape))
    payload.decode(whole, shape[0], shape[1:], kind)
    if number % 8 == 2:
        lots = [images(kind, (1, *shape[1:])), images(kind, (2, 9, 7, shape[3])), images(kind, shape)]
        shapes = [Lot(len(one), one.shape[1:]) for one in lots]
        assert all(map(np.array_equal, payload.decode_lots(payload.encode_lots(lots), shapes, kind), lots))
    tag = int(rng.integers(0x50, 0x68)) + 0x40 * (number % 8 == 1)
    variant = payload.regressed if tag < 0x80 else payload.blended
    if number % 4 == 1 and variant.takes(shape, tag - (0x50 if tag < 0x80 else 0x90)):
        pictures = images(kind, shape)
        pictures *= pictures[..., -1:] > 0
        whole = payload.encode_as(pictures, tag)
        assert (payload.decode(whole, shape[0], shape[1:], kind) == pictures).all()
    tag = rng.choice([0x40, 0x41, 0x44, 0x50, 0x59, 0x64, 0x80, 0x91, 0x9C, 0xC0, 0xC1])
    bad = bytearray(whole if number % 3 else bytes([tag]) + rng.bytes(300))
    for place in rng.integers(0, len(bad), 3):
        bad[place] = rng.integers(256)
    try:
        payload.decode(bytes(bad), shape[0], shape[1:], kind)
    except BitsBackError:
        pass
"""

JPEG = """
from kinds.jpeg.test_payload import SORTS, coefficients
from bitsback.kinds.jpeg import payload
rng = np.random.default_rng(0)
for number in range(60):
    layouts = list(SORTS.values())[number % len(SORTS)]
    blocks = coefficients(layouts, number, float(rng.choice([1, 30, 3000, 1e6])))
    whole = payload.encode(blocks)
    assert (payload.decode(whole, len(blocks)) == blocks).all()
    bad = bytearray(whole)
    for place in rng.integers(0, len(bad), 3):
        bad[place] = rng.integers(256)
    try:
        payload.decode(bytes(bad), len(blocks))
    except BitsBackError:
        pass
"""

JPEG_FILES = """
from files.jpeg.test_jpeg import FILES
from bitsback.files import parse, write
rng = np.random.default_rng(0)
for number in range(200):
    bad = bytearray(FILES[number % len(FILES)])
    for place in rng.integers(2, len(bad), number % 4):
        bad[place] = rng.integers(256)
    picture = parse(bytes(bad[: rng.integers(len(bad) // 2, len(bad) + 1)]))
    if picture.parts:
        blocks = picture.parts[0].copy()
        skip = 1 + int(blocks[0, 0, 0, 0])
        blocks[skip:] = rng.integers(0, 1 << rng.integers(1, 17), blocks[skip:].shape)
        blob = bytearray(picture.blob)
        for place in rng.integers(2, len(blob), number % 3):
            blob[place] = rng.integers(256)
        try:
            write(picture.recipe, bytes(blob), [blocks])
        except BitsBackError:
            pass
"""

MODEL = """
from bitsback.models import Model
model = Model.load(sys.argv[1])
rng = np.random.default_rng(0)
for number in range(12):
    height, width, channels = (length or int(rng.integers(1, 30)) for length in model.shape)
    shape = (int(rng.integers(1, 4)), height, width, channels)
    images = rng.integers(0, model.levels, shape).astype(np.uint8)
    if number % 2:
        images = np.sort(images, axis=2)
    whole = model.encode(images)
    assert (model.decode(whole, shape[0], shape[1:]) == images).all()
    for _ in range(4):
        bad = whole[:4] + rng.bytes(int(rng.integers(8, 40000)))
        try:
            model.decode(bad, shape[0], shape[1:])
        except BitsBackError:
            pass
"""


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "script.py"
        file.write_text(CHECKED + script)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
        command = [sys.executable, str(file), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("index", [-4, -1, 3, 2**40])
def test_the_check_checks(run: Run, index: int) -> None:
    done = run(OUTSIDE, str(index))
    assert done.stdout == "within\n", done.stderr
    assert done.returncode != 0


@pytest.mark.parametrize(("i", "j"), [(-1, 0), (3, 0), (4, 0), (0, -1), (0, 3), (0, 10), (0, 2**40), (2**60, 0)])
def test_the_check_checks_vectors(run: Run, i: int, j: int) -> None:
    done = run(VECTORS, str(i), str(j))
    assert done.stdout == "within\n", done.stderr
    assert done.returncode != 0


def test_what_a_kernel_makes_begins_with_noise(run: Run) -> None:
    assert run(NOISE).stdout == "[4, 0]\n"


def test_the_adaptive_kind(run: Run) -> None:
    done = run(ADAPTIVE)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", [JPEG, JPEG_FILES], ids=["coefficients", "files"])
def test_the_jpeg_kind(run: Run, script: str) -> None:
    done = run(script)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("model", ["digits-binary", "digits", "photos", "photos-fast"])
def test_models(run: Run, model: str) -> None:
    done = run(MODEL, model)
    assert done.returncode == 0, done.stderr
