"""No index of the kernels that take deflate streams apart leaves its array, whatever a stream or a recipe says.

In a process of its own, whose kernels check their indices (:mod:`kernels.bounds`).
"""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]

SCRIPT = """
import zlib
import numpy as np
from kernels import bounds
bounds.check()
from bitsback.errors import ImageError
from bitsback.files.deflate import put_together, take_apart
rng = np.random.default_rng(0)
FLUSHES = zlib.Z_NO_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH
def plain():
    pieces = []
    for _ in range(int(rng.integers(0, 5))):
        size, levels = int(rng.integers(0, 9000)), int(rng.integers(1, 257))
        pieces.append(np.repeat(rng.integers(0, levels, size), rng.integers(1, 4)).astype(np.uint8).tobytes())
        if rng.random() < 0.5:
            pieces.append(pieces[int(rng.integers(len(pieces)))])
    return b"".join(pieces)
def deflated(data):
    level, window = int(rng.integers(0, 10)), int(rng.integers(9, 16))
    deflater = zlib.compressobj(level, zlib.DEFLATED, -window, int(rng.integers(1, 10)), int(rng.integers(0, 5)))
    cuts = np.sort(rng.integers(0, len(data) + 1, 2))
    pieces = data[:cuts[0]], data[cuts[0]:cuts[1]], data[cuts[1]:]
    return b"".join(deflater.compress(piece) + deflater.flush(int(rng.choice(FLUSHES))) for piece in pieces) + \\
        deflater.flush()
def changed(data):
    bad = bytearray(data)
    for place in rng.integers(0, len(bad), int(rng.integers(1, 4))):
        bad[place] = rng.integers(256)
    return bytes(bad)
for number in range(150):
    data = plain()
    stream = deflated(data)
    for one in (stream, changed(stream)):
        try:
            found, rules, corrections, size = take_apart(one, 1 << 20)
        except ImageError:
            continue
        assert put_together(found, rules, corrections) == one[:size]
        for bad in (rng.bytes(int(rng.integers(1, 60))), changed(corrections or b"a")):
            try:
                put_together(found, rules, bad)
            except ValueError:
                pass
"""


def test_whatever_a_stream_or_a_recipe_says(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
