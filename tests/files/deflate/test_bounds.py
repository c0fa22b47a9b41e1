"""No index of the kernels that take deflate streams apart leaves its array, whatever a stream or a recipe says.

In a process of its own, whose kernels check their indices (:mod:`kernels.bounds`).
"""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]

SCRIPT = """
import numpy as np
from kernels import bounds
bounds.check()
from bitsback.errors import ImageError
from bitsback.files.deflate import put_together, take_apart
from bitsback.files.deflate.recipe import Walk, read_only, rules_of
from bitsback.files.deflate.stream import parse
from files.deflate.streams import plain_bytes, pressed, tampered
rng = np.random.default_rng(0)
none = np.empty(0, np.int64)
for _ in range(14):
    stream = pressed(rng, plain_bytes(rng, 9000))
    for one in (stream, tampered(rng, stream)):
        try:
            found, rules, corrections, size = take_apart(one, 1 << 20)
        except ImageError:
            continue
        assert put_together(found, rules, corrections) == one[:size]
        for family in range(5):
            walk = Walk(read_only(found), none, rules_of(6 if family < 4 else 2, 8, 0, 15, family))
            walk.corrections(parse(one, len(found))[1], 1 << 20, int(rng.integers(40)))
        for bad in (rng.bytes(int(rng.integers(1, 60))), tampered(rng, corrections or b"a")):
            try:
                family = int(rng.integers(5))
                put_together(found, [rules[0] if family < 4 else 2, *rules[1:4], family], bad)
            except ValueError:
                pass
"""


def test_whatever_a_stream_or_a_recipe_says(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
